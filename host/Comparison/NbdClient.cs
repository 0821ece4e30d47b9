using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using StoragePlugins.Client;

namespace StoragePlugins.Host.Comparison;

/// <summary>
/// The client that drives our server and <c>qemu-nbd</c> alike, so that neither has the better one, and none need be installed: the client library's disk, one
/// request at a time, with failures as this program tells them. Guest barriers are not asked for: both servers meet the same handshake.
/// </summary>
/// <remarks>Nothing is allocated a request. Every wait ends after <see cref="Timeout"/>.</remarks>
internal sealed class NbdClient : IDisposable
{
    /// <summary>A server that has not answered by then never will: far above any flush of a device that works.</summary>
    public static readonly TimeSpan Timeout = TimeSpan.FromSeconds(60);

    private readonly NbdDisk _disk;
    private readonly string _server;
    private readonly byte[] _payload;

    private NbdClient(NbdDisk disk, string server, int maxPayload) => (_disk, _server, _payload) = (disk, server, new byte[maxPayload]);

    /// <summary>Bytes of the export.</summary>
    public long Size => _disk.Size;

    /// <summary>Connects to the default export.</summary>
    /// <param name="socketPath">Unix socket of the server.</param>
    /// <param name="server">What messages call it.</param>
    /// <param name="maxPayload">The largest write in bytes.</param>
    /// <exception cref="SocketException">Nobody listens there.</exception>
    /// <exception cref="DiagnosticException">SP4106: it is no NBD server, or has no such export, or one that cannot be written and flushed.</exception>
    public static NbdClient Connect(string socketPath, string server, int maxPayload)
    {
        NbdDisk disk;
        try
        {
            disk = NbdDisk.Connect(new NbdUri(null, 0, socketPath, ""), new NbdConnectOptions { Timeout = Timeout, AskForBarriers = false });
        }
        catch (NbdException failure)
        {
            if (failure.InnerException is SocketException unreachable && failure.Failure == NbdFailure.Unreachable) ExceptionDispatchInfo.Throw(unreachable);
            throw Failed(server, failure.Reason, failure);
        }

        if (!disk.IsReadOnly && (disk.Features & NbdFeatures.Flush) != 0) return new NbdClient(disk, server, maxPayload);
        disk.Dispose();
        throw Failed(server, "its export cannot be written and flushed", null);
    }

    /// <summary>The buffer that <see cref="Write"/> sends from; to be filled once.</summary>
    public Span<byte> Payload => _payload;

    /// <summary>Writes the first bytes of <see cref="Payload"/>.</summary>
    /// <exception cref="DiagnosticException">SP4106: the server failed it, or is gone.</exception>
    public void Write(long offset, int length)
    {
        try
        {
            _disk.Write(offset, _payload.AsSpan(0, length));
        }
        catch (NbdException failure)
        {
            throw Failed(_server, failure.Reason, failure);
        }
    }

    /// <summary>Makes what was written durable.</summary>
    /// <exception cref="DiagnosticException">SP4106: the server failed it, or is gone.</exception>
    public void Flush()
    {
        try
        {
            _disk.Flush();
        }
        catch (NbdException failure)
        {
            throw Failed(_server, failure.Reason, failure);
        }
    }

    /// <summary>Says good-bye, so that the server ends the session in its own time.</summary>
    public void Dispose() => _disk.Dispose();

    private static DiagnosticException Failed(string server, string what, Exception? inner) => new("SP4106", $"the NBD server failed: {what}", server, inner: inner);
}
