using System.Diagnostics;
using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Disks;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>Answers requests from a tree. One for all threads of a mount.</summary>
/// <remarks>Thread-safe. Whatever a request holds, the answer is a reply or an error number; a failure of the tree is told once a kind and the mount goes on.</remarks>
internal sealed class FuseDispatcher
{
    /// <summary>Returned for requests that have no reply.</summary>
    public const int NoReply = -1;

    // A plugin with a bug, or a device that is gone, fails at each request; what is the matter is clear after a few.
    private const int MaxFailuresTold = 20;

    private readonly MountedTree _mounted;
    private readonly NameOperations _names;
    private readonly AttributeOperations _attributes;
    private readonly FileOperations _files;
    private readonly DirectoryOperations _directories;
    private readonly BarrierOperation _barrier;
    private readonly AdmissionGate _admission = new();
    private readonly ILogger _logger;
    private volatile bool _isRefusing;
    private int _failuresTold;

    public FuseDispatcher(MountedTree mounted, ILogger logger)
    {
        _mounted = mounted;
        _logger = logger;
        _attributes = new AttributeOperations(mounted);
        _files = new FileOperations(mounted);
        _names = new NameOperations(mounted, _files);
        _directories = new DirectoryOperations(mounted);
        _barrier = new BarrierOperation(mounted);
    }

    /// <summary>Requests that are being answered now.</summary>
    public int ActiveRequests => _admission.Inside;

    /// <summary>Answers a request.</summary>
    /// <param name="call">The request; receives the reply's payload.</param>
    /// <param name="listing">The thread's own, for directories.</param>
    /// <returns>0, an error number, or <see cref="NoReply"/>.</returns>
    public int Serve(ref FuseCall call, DirectoryListing listing)
    {
        if (_isRefusing || !_admission.TryEnter()) return HasReply(call.Header.Opcode) ? Errno.NotConnected : NoReply;
        int error;
        long arrivedAt = Stopwatch.GetTimestamp();
        try
        {
            error = Answer(ref call, listing);
            // Not after an exception, of which nobody knows what it left; nor where the tree flushes, for a flush that failed is not asked for again.
            call.MayFindSpaceLater = error == (int)FileError.NoSpace && _mounted.IsDurableOnReturn;
        }
        catch (StorageException failure)
        {
            error = failure.Error == StorageError.ReadOnly ? (int)FileError.ReadOnly : (int)failure.Error;
            Tell(call.Header, failure.Message);
        }
        catch (Exception failure) when (failure is not OutOfMemoryException)
        {
            error = Errno.Io;
            Tell(call.Header, $"{failure.GetType().Name}: {failure.Message} ({Plugins.PluginBlame.Of(failure)})");
        }
        finally
        {
            _admission.Leave();
        }

        if (KindOf(call.Header.Opcode) is { } kind) _mounted.Latency.Record(kind, Stopwatch.GetTimestamp() - arrivedAt);
        if (error > 0) call.ClearReply();
        return HasReply(call.Header.Opcode) ? error : NoReply;
    }

    /// <summary>From now on every request is answered with ENOTCONN, as by a mount whose server is gone.</summary>
    public void Refuse() => _isRefusing = true;

    /// <summary>Refuses requests and waits for the running ones.</summary>
    /// <returns>False when some were still running after <paramref name="timeout"/>.</returns>
    public bool Quiesce(TimeSpan timeout)
    {
        Refuse();
        return _admission.CloseAndWait(timeout);
    }

    // What moves or keeps bytes; names and attributes are no requests to a disk.
    private static RequestKind? KindOf(FuseOpcode opcode) => opcode switch
    {
        FuseOpcode.Read => RequestKind.Read,
        FuseOpcode.Write => RequestKind.Write,
        FuseOpcode.FSync or FuseOpcode.FSyncDirectory or FuseOpcode.SyncFs => RequestKind.Flush,
        FuseOpcode.Ioctl => RequestKind.Barrier,
        FuseOpcode.Allocate => RequestKind.Other,
        _ => null,
    };

    private static bool HasReply(FuseOpcode opcode) => opcode is not (FuseOpcode.Forget or FuseOpcode.BatchForget);

    private int Answer(ref FuseCall call, DirectoryListing listing) => call.Header.Opcode switch
    {
        FuseOpcode.Lookup => _names.Lookup(ref call),
        FuseOpcode.Forget => _names.Forget(ref call),
        FuseOpcode.BatchForget => _names.ForgetMany(ref call),
        FuseOpcode.MakeNode => _names.MakeNode(ref call),
        FuseOpcode.MakeDirectory => _names.MakeDirectory(ref call),
        FuseOpcode.Create => _names.Create(ref call),
        FuseOpcode.SymbolicLink => _names.MakeSymbolicLink(ref call),
        FuseOpcode.ReadLink => _names.ReadSymbolicLink(ref call),
        FuseOpcode.Link => _names.Link(ref call),
        FuseOpcode.Unlink => _names.Unlink(ref call),
        FuseOpcode.RemoveDirectory => _names.RemoveDirectory(ref call),
        FuseOpcode.Rename => _names.Rename(ref call),
        FuseOpcode.Rename2 => _names.RenameWithFlags(ref call),
        FuseOpcode.GetAttributes => _attributes.Get(ref call),
        FuseOpcode.StatX => _attributes.GetWithBirth(ref call),
        FuseOpcode.SetAttributes => _attributes.Set(ref call),
        FuseOpcode.StatFs => _attributes.Statistics(ref call),
        FuseOpcode.GetExtendedAttribute => _attributes.GetExtended(ref call),
        FuseOpcode.SetExtendedAttribute => _attributes.SetExtended(ref call),
        FuseOpcode.ListExtendedAttributes => _attributes.ListExtended(ref call),
        FuseOpcode.RemoveExtendedAttribute => _attributes.RemoveExtended(ref call),
        FuseOpcode.Open => _files.Open(ref call),
        FuseOpcode.Release => _files.Release(ref call),
        FuseOpcode.Read => _files.Read(ref call),
        FuseOpcode.Write => _files.Write(ref call),
        FuseOpcode.Allocate => _files.Allocate(ref call),
        FuseOpcode.Seek => _files.Seek(ref call),
        FuseOpcode.FSync or FuseOpcode.FSyncDirectory => _files.Flush(ref call),
        FuseOpcode.SyncFs => _files.FlushAll(),
        FuseOpcode.ReadDirectory => _directories.Read(ref call, listing, withAttributes: false),
        FuseOpcode.ReadDirectoryPlus => _directories.Read(ref call, listing, withAttributes: true),
        FuseOpcode.Ioctl => _barrier.Answer(ref call),
        FuseOpcode.Destroy => 0,
        // The kernel stops asking for what is not there: FLUSH, ACCESS, locks, POLL, COPY_FILE_RANGE, OPENDIR, INTERRUPT.
        _ => Errno.NotImplemented,
    };

    private void Tell(in FuseRequestHeader header, string reason)
    {
        int told = Interlocked.Increment(ref _failuresTold);
        if (told > MaxFailuresTold) return;
        _logger.LogError("SP4039: {Opcode} of node {Node} failed: {Reason}{More}", header.Opcode, _mounted.NodeOf(header.Node), reason.TrimEnd('.'), told == MaxFailuresTold ? "; further failures are not told" : "");
    }
}
