namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>Requests about names: finding, making, linking, renaming and removing them.</summary>
internal sealed class NameOperations(MountedTree mounted, FileOperations files)
{
    private const uint RenameNoReplace = 1;
    private const uint RenameExchange = 2;
    private const uint DirectoryType = (uint)NodeKind.Directory << 12;
    private const uint OpenExclusive = 0x80;

    private readonly IFileTree _tree = mounted.Tree;

    public int Lookup(ref FuseCall call)
    {
        if (!call.TryTakeString(out ReadOnlySpan<byte> name)) return Errno.Io;
        int error = Check(name);
        if (error != 0) return error;
        FileError found = _tree.Lookup(mounted.NodeOf(call.Header.Node), name, out NodeAttributes node);
        if (found == FileError.None) return Reply(ref call, node);
        if (found != FileError.NotFound) return (int)found;
        // Nobody else makes names: that this one is not there holds until the kernel itself makes it.
        call.Append<EntryReply>().EntryValidSeconds = FuseProtocol.CacheSeconds;
        return 0;
    }

    public int Forget(ref FuseCall call)
    {
        if (call.TryTake(out ulong count)) Forget(call.Header.Node, count);
        return FuseDispatcher.NoReply;
    }

    public int ForgetMany(ref FuseCall call)
    {
        if (!call.TryTake(out BatchForgetRequest batch)) return FuseDispatcher.NoReply;
        for (uint i = 0; i < batch.Count && call.TryTake(out ForgetOne one); i++) Forget(one.Node, one.Count);
        return FuseDispatcher.NoReply;
    }

    public int MakeNode(ref FuseCall call)
    {
        if (!call.TryTake(out MakeNodeRequest request) || !call.TryTakeString(out ReadOnlySpan<byte> name)) return Errno.Io;
        int error = Make(call.Header, name, request.Mode, request.Device, out NodeAttributes node);
        return error != 0 ? error : Reply(ref call, node);
    }

    public int MakeDirectory(ref FuseCall call)
    {
        if (!call.TryTake(out MakeDirectoryRequest request) || !call.TryTakeString(out ReadOnlySpan<byte> name)) return Errno.Io;
        int error = Make(call.Header, name, (request.Mode & FuseProtocol.PermissionMask) | DirectoryType, 0, out NodeAttributes node);
        return error != 0 ? error : Reply(ref call, node);
    }

    public int Create(ref FuseCall call)
    {
        if (!call.TryTake(out CreateRequest16 request) || !call.TryTakeString(out ReadOnlySpan<byte> name)) return Errno.Io;
        int error = Make(call.Header, name, request.Mode, 0, out NodeAttributes node);
        bool isNew = error == 0;
        if (error == (int)FileError.Exists && (request.Flags & OpenExclusive) == 0) error = (int)_tree.Lookup(mounted.NodeOf(call.Header.Node), name, out node);
        if (error != 0) return error;
        mounted.Describe(node, out call.Append<EntryReply>());
        // A new file has nothing that O_TRUNC could cut.
        error = files.Open(ref call, node.Node, isNew ? request.Flags & ~FuseProtocol.OpenTruncate : request.Flags, request.OpenFlags);
        if (error != 0) _tree.Forget(node.Node, 1);
        return error;
    }

    public int MakeSymbolicLink(ref FuseCall call)
    {
        if (!call.TryTakeString(out ReadOnlySpan<byte> name) || !call.TryTakeString(out ReadOnlySpan<byte> target)) return Errno.Io;
        int error = Check(name);
        if (error != 0) return error;
        if (target.Length >= FuseProtocol.MaxPathBytes) return (int)FileError.NameTooLong;
        ulong parent = mounted.NodeOf(call.Header.Node);
        error = Inherit(parent, call.Header.GroupId, out uint group, out _);
        if (error != 0) return error;
        var request = new NodeRequest(((uint)NodeKind.SymbolicLink << 12) | 0x1FF, call.Header.UserId, group);
        error = (int)_tree.CreateSymbolicLink(parent, name, target, request, out NodeAttributes node);
        return error != 0 ? error : Reply(ref call, node);
    }

    public int ReadSymbolicLink(ref FuseCall call)
    {
        FileError error = _tree.ReadSymbolicLink(mounted.NodeOf(call.Header.Node), call.Room[..FuseProtocol.MaxPathBytes], out int length);
        if (error == FileError.None) call.Advance(length);
        return (int)error;
    }

    public int Link(ref FuseCall call)
    {
        if (!call.TryTake(out ulong old) || !call.TryTakeString(out ReadOnlySpan<byte> name)) return Errno.Io;
        int error = Check(name);
        if (error != 0) return error;
        error = (int)_tree.Link(mounted.NodeOf(old), mounted.NodeOf(call.Header.Node), name, out NodeAttributes node);
        return error != 0 ? error : Reply(ref call, node);
    }

    public int Unlink(ref FuseCall call)
    {
        if (!call.TryTakeString(out ReadOnlySpan<byte> name)) return Errno.Io;
        int error = Check(name);
        return error != 0 ? error : (int)_tree.Remove(mounted.NodeOf(call.Header.Node), name);
    }

    public int RemoveDirectory(ref FuseCall call)
    {
        if (!call.TryTakeString(out ReadOnlySpan<byte> name)) return Errno.Io;
        int error = Check(name);
        return error != 0 ? error : (int)_tree.RemoveDirectory(mounted.NodeOf(call.Header.Node), name);
    }

    public int Rename(ref FuseCall call) => call.TryTake(out ulong newParent) ? Rename(ref call, newParent, RenameMode.Replace) : Errno.Io;

    public int RenameWithFlags(ref FuseCall call)
    {
        if (!call.TryTake(out Rename2Request request)) return Errno.Io;
        return request.Flags switch
        {
            0 => Rename(ref call, request.NewParent, RenameMode.Replace),
            RenameNoReplace => Rename(ref call, request.NewParent, RenameMode.Keep),
            RenameExchange => Rename(ref call, request.NewParent, RenameMode.Exchange),
            _ => (int)FileError.InvalidArgument,
        };
    }

    private int Rename(ref FuseCall call, ulong newParent, RenameMode mode)
    {
        if (!call.TryTakeString(out ReadOnlySpan<byte> name) || !call.TryTakeString(out ReadOnlySpan<byte> newName)) return Errno.Io;
        int error = Check(name);
        if (error == 0) error = Check(newName);
        return error != 0 ? error : (int)_tree.Rename(mounted.NodeOf(call.Header.Node), name, mounted.NodeOf(newParent), newName, mode);
    }

    private int Make(in FuseRequestHeader header, ReadOnlySpan<byte> name, uint mode, uint device, out NodeAttributes node)
    {
        node = default;
        int error = Check(name);
        if (error != 0) return error;
        ulong parent = mounted.NodeOf(header.Node);
        error = Inherit(parent, header.GroupId, out uint group, out uint bits);
        if (error != 0) return error;
        if ((mode & FuseProtocol.TypeMask) == DirectoryType) mode |= bits;
        return (int)_tree.Create(parent, name, new NodeRequest(mode, header.UserId, group, device), out node);
    }

    // A setgid directory gives its group to what is made in it, and its setgid to directories: what a file system does for itself, not the kernel for it.
    private int Inherit(ulong parent, uint callersGroup, out uint group, out uint bits)
    {
        (group, bits) = (callersGroup, 0);
        FileError error = _tree.GetAttributes(parent, out NodeAttributes directory);
        if (error == FileError.None && (directory.Mode & FuseProtocol.SetGroupId) != 0) (group, bits) = (directory.GroupId, FuseProtocol.SetGroupId);
        return (int)error;
    }

    private void Forget(ulong node, ulong count)
    {
        if (node != FuseProtocol.RootNode && count is > 0 and <= long.MaxValue) _tree.Forget(mounted.NodeOf(node), (long)count);
    }

    private int Reply(ref FuseCall call, in NodeAttributes node)
    {
        mounted.Describe(node, out call.Append<EntryReply>());
        return 0;
    }

    // The kernel allows longer names than file systems have.
    private static int Check(ReadOnlySpan<byte> name) => name.Length switch
    {
        0 => (int)FileError.InvalidArgument,
        > FuseProtocol.MaxNameBytes => (int)FileError.NameTooLong,
        _ => name.Contains((byte)'/') ? (int)FileError.InvalidArgument : 0,
    };
}
