namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>Requests about the content of files.</summary>
internal sealed class FileOperations(MountedTree mounted)
{
    private readonly IFileTree _tree = mounted.Tree;

    public int Open(ref FuseCall call) =>
        call.TryTake(out OpenRequest8 request) ? Open(ref call, mounted.NodeOf(call.Header.Node), request.Flags, request.OpenFlags) : Errno.Io;

    /// <summary>Opens a node and appends the answer.</summary>
    /// <param name="call">The request.</param>
    /// <param name="node">The tree's number.</param>
    /// <param name="flags">Of open(2).</param>
    /// <param name="openFlags">Of the protocol.</param>
    public int Open(ref FuseCall call, ulong node, uint flags, uint openFlags)
    {
        bool forWriting = (flags & FuseProtocol.AccessModeMask) != 0;
        if (forWriting && _tree.IsReadOnly) return (int)FileError.ReadOnly;
        if ((flags & FuseProtocol.OpenTruncate) != 0)
        {
            int error = Truncate(node, (openFlags & FuseProtocol.OpenKillPrivileges) != 0);
            if (error != 0) return error;
        }

        if (!mounted.Files.TryOpen(node, forWriting, out ulong handle)) return Errno.TooManyFiles;
        ref OpenReply reply = ref call.Append<OpenReply>();
        reply.Handle = handle;
        // Nobody writes but through this kernel: what it keeps of the file is right.
        reply.Flags = forWriting && mounted.WritesDirectly ? FuseProtocol.OpenKeepCache | FuseProtocol.OpenDirectIo : FuseProtocol.OpenKeepCache;
        return 0;
    }

    public int Release(ref FuseCall call) =>
        call.TryTake(out ReleaseRequest request) && mounted.Files.Close(request.Handle, mounted.NodeOf(call.Header.Node)) ? 0 : Errno.Io;

    public int Read(ref FuseCall call)
    {
        if (!call.TryTake(out ReadRequest request) || request.Offset > long.MaxValue) return Errno.Io;
        // A short answer would mean the end of the file.
        if (request.Size > FuseProtocol.MaxPayloadBytes) return Errno.Io;
        FileError error = _tree.Read(mounted.NodeOf(call.Header.Node), (long)request.Offset, call.Room[..(int)request.Size], out int read);
        if (error != FileError.None) return (int)error;
        call.Advance(read);
        mounted.Meter?.CountGuestRead(read);
        return 0;
    }

    public int Write(ref FuseCall call)
    {
        if (!call.TryTake(out WriteRequest request) || request.Size > (uint)call.Rest.Length) return Errno.Io;
        if (request.Offset > (ulong)long.MaxValue - request.Size) return (int)FileError.FileTooLarge;
        ulong node = mounted.NodeOf(call.Header.Node);
        if (mounted.Files.Find(request.Handle, node) is not { } file) return Errno.Io;
        int error = TakePrivileges(file, (request.WriteFlags & FuseProtocol.WriteKillPrivileges) != 0);
        if (error == 0) error = (int)_tree.Write(node, (long)request.Offset, call.Rest[..(int)request.Size]);
        if (error != 0) return error;
        mounted.Meter?.CountGuestWrite(request.Size);
        // Past its cache the kernel sends no FSYNC for O_SYNC and O_DSYNC: the write is to be durable by itself.
        bool isSynchronous = mounted.WritesDirectly && (request.Flags & FuseProtocol.OpenDataSync) != 0 && (request.WriteFlags & FuseProtocol.WriteFromCache) == 0;
        if (isSynchronous && !mounted.IsDurableOnReturn) error = Flush(node);
        if (error == 0) call.Append<WriteReply>().Size = request.Size;
        return error;
    }

    public int Allocate(ref FuseCall call)
    {
        if (!call.TryTake(out AllocateRequest request)) return Errno.Io;
        if (request.Offset > long.MaxValue || request.Length > (ulong)long.MaxValue - request.Offset) return (int)FileError.FileTooLarge;
        ulong node = mounted.NodeOf(call.Header.Node);
        (long offset, long length) = ((long)request.Offset, (long)request.Length);
        FileError error = request.Mode switch
        {
            0 => _tree.Allocate(node, AllocationMode.Grow, offset, length),
            FuseProtocol.AllocateKeepSize => _tree.Allocate(node, AllocationMode.KeepSize, offset, length),
            FuseProtocol.AllocatePunchHole | FuseProtocol.AllocateKeepSize => _tree.Allocate(node, AllocationMode.PunchHole, offset, length),
            FuseProtocol.AllocateZeroRange | FuseProtocol.AllocateKeepSize => _tree.Allocate(node, AllocationMode.ZeroRange, offset, length),
            FuseProtocol.AllocateZeroRange => ZeroAndGrow(node, offset, length),
            _ => FileError.NotSupported,
        };
        if (error == FileError.None && mounted.Files.Find(request.Handle, node) is { } file) error = (FileError)TakePrivileges(file, setId: true);
        return (int)error;
    }

    public int Seek(ref FuseCall call)
    {
        // What waits in the kernel is a hole here: a copy that skips holes would lose it. Refused, the kernel calls the whole file data.
        if (mounted.HasWritebackCache) return Errno.NotImplemented;
        if (!call.TryTake(out SeekRequest request)) return Errno.Io;
        if (request.Offset > long.MaxValue) return (int)FileError.NoData;
        if (request.Whence is not (FuseProtocol.SeekData or FuseProtocol.SeekHole)) return (int)FileError.InvalidArgument;
        FileError error = _tree.Seek(mounted.NodeOf(call.Header.Node), (long)request.Offset, request.Whence == FuseProtocol.SeekHole, out long found);
        if (error == FileError.None) call.Append<ulong>() = (ulong)found;
        return (int)error;
    }

    public int Flush(ref FuseCall call)
    {
        // Durable already: the kernel takes this for success, now and without asking again.
        return mounted.IsDurableOnReturn ? Errno.NotImplemented : Flush(mounted.NodeOf(call.Header.Node));
    }

    public int FlushAll() => mounted.IsDurableOnReturn ? Errno.NotImplemented : (int)_tree.Flush(_tree.RootNode);

    private int Flush(ulong node)
    {
        FileError error = _tree.Flush(node);
        if (error == FileError.None) mounted.Meter?.CountGuestFlush();
        return (int)error;
    }

    private FileError ZeroAndGrow(ulong node, long offset, long length)
    {
        FileError error = _tree.Allocate(node, AllocationMode.Grow, offset, length);
        return error != FileError.None ? error : _tree.Allocate(node, AllocationMode.ZeroRange, offset, length);
    }

    private int Truncate(ulong node, bool killPrivileges)
    {
        FileError error = _tree.SetAttributes(node, new AttributeChange { Size = 0 }, out _);
        if (error != FileError.None) return (int)error;
        FilePrivileges has = PrivilegeRemoval.Inspect(_tree, node);
        return (int)PrivilegeRemoval.Remove(_tree, node, killPrivileges ? has : has & FilePrivileges.Capability);
    }

    // Before the content changes, so that nobody runs changed content with the old rights.
    private int TakePrivileges(OpenFile file, bool setId)
    {
        FilePrivileges which = mounted.Files.PrivilegesOf(file);
        if (!setId) which &= FilePrivileges.Capability;
        if (which == FilePrivileges.None) return 0;
        FileError error = PrivilegeRemoval.Remove(_tree, file.Node, which);
        mounted.Files.PrivilegesChanged();
        return (int)error;
    }
}
