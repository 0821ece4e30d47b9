namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>Requests about attributes, extended ones, and the tree's statistics.</summary>
internal sealed class AttributeOperations(MountedTree mounted)
{
    private readonly IFileTree _tree = mounted.Tree;

    public int Get(ref FuseCall call)
    {
        FileError error = _tree.GetAttributes(mounted.NodeOf(call.Header.Node), out NodeAttributes node);
        if (error == FileError.None) mounted.Describe(node, out call.Append<AttributesReply>());
        return (int)error;
    }

    public int GetWithBirth(ref FuseCall call)
    {
        FileError error = _tree.GetAttributes(mounted.NodeOf(call.Header.Node), out NodeAttributes node);
        if (error == FileError.None) mounted.Describe(node, out call.Append<StatXReply>());
        return (int)error;
    }

    public int Set(ref FuseCall call)
    {
        if (!call.TryTake(out SetAttributesRequest request)) return Errno.Io;
        ulong number = mounted.NodeOf(call.Header.Node);
        int error = Translate(number, request, out AttributeChange change);
        if (error != 0) return error;
        error = (int)_tree.SetAttributes(number, change, out NodeAttributes node);
        if (error != 0) return error;
        if ((change.Permissions & (FuseProtocol.SetUserId | FuseProtocol.SetGroupId)) is > 0) mounted.Files.PrivilegesChanged();
        mounted.Describe(node, out call.Append<AttributesReply>());
        return 0;
    }

    public int Statistics(ref FuseCall call)
    {
        TreeStatistics tree = _tree.Statistics;
        ref StatFsReply reply = ref call.Append<StatFsReply>();
        reply.BlockSize = reply.FragmentSize = (uint)tree.BlockSize;
        reply.Blocks = (ulong)tree.Blocks;
        reply.FreeBlocks = reply.AvailableBlocks = (ulong)tree.FreeBlocks;
        reply.Nodes = (ulong)tree.Nodes;
        reply.FreeNodes = (ulong)tree.FreeNodes;
        reply.MaxNameLength = (uint)tree.MaxNameLength;
        return 0;
    }

    public int GetExtended(ref FuseCall call)
    {
        if (!call.TryTake(out GetExtendedAttributeRequest request) || !call.TryTakeString(out ReadOnlySpan<byte> name)) return Errno.Io;
        int error = Check(name);
        if (error != 0) return error;
        Span<byte> room = RoomOf(ref call, request.Size);
        return Reply(ref call, request.Size, _tree.GetExtendedAttribute(mounted.NodeOf(call.Header.Node), name, room, out int length), length);
    }

    public int ListExtended(ref FuseCall call)
    {
        if (!call.TryTake(out GetExtendedAttributeRequest request)) return Errno.Io;
        Span<byte> room = RoomOf(ref call, request.Size);
        return Reply(ref call, request.Size, _tree.ListExtendedAttributes(mounted.NodeOf(call.Header.Node), room, out int length), length);
    }

    public int SetExtended(ref FuseCall call)
    {
        if (!call.TryTake(out SetExtendedAttributeRequest request) || !call.TryTakeString(out ReadOnlySpan<byte> name)) return Errno.Io;
        int error = Check(name);
        if (error != 0) return error;
        if (request.Size > (uint)call.Rest.Length) return Errno.Io;
        if (request.Flags > (uint)AttributeMode.Replace) return (int)FileError.InvalidArgument;
        error = (int)_tree.SetExtendedAttribute(mounted.NodeOf(call.Header.Node), name, call.Rest[..(int)request.Size], (AttributeMode)request.Flags);
        if (error == 0 && name.SequenceEqual(PrivilegeRemoval.CapabilityName)) mounted.Files.PrivilegesChanged();
        return error;
    }

    public int RemoveExtended(ref FuseCall call)
    {
        if (!call.TryTakeString(out ReadOnlySpan<byte> name)) return Errno.Io;
        int error = Check(name);
        return error != 0 ? error : (int)_tree.RemoveExtendedAttribute(mounted.NodeOf(call.Header.Node), name);
    }

    private int Translate(ulong node, in SetAttributesRequest request, out AttributeChange change)
    {
        change = default;
        SetAttributesMask valid = request.Valid;
        if ((valid & SetAttributesMask.Size) != 0)
        {
            if (request.Size > long.MaxValue) return (int)FileError.FileTooLarge;
            change.Size = (long)request.Size;
        }

        if ((valid & SetAttributesMask.Mode) != 0) change.Permissions = request.Mode & FuseProtocol.PermissionMask;
        if ((valid & SetAttributesMask.UserId) != 0) change.UserId = request.UserId;
        if ((valid & SetAttributesMask.GroupId) != 0) change.GroupId = request.GroupId;
        if ((valid & SetAttributesMask.AccessTime) != 0)
            change.AccessTime = (valid & SetAttributesMask.AccessTimeNow) != 0 ? MountedTree.Now : MountedTree.TimeOf(request.AccessSeconds, request.AccessNanoseconds);
        if ((valid & SetAttributesMask.ModificationTime) != 0)
            change.ModificationTime = (valid & SetAttributesMask.ModificationTimeNow) != 0 ? MountedTree.Now : MountedTree.TimeOf(request.ModificationSeconds, request.ModificationNanoseconds);
        return TakePrivileges(node, valid, ref change);
    }

    private int TakePrivileges(ulong node, SetAttributesMask valid, ref AttributeChange change)
    {
        bool isGivenAway = (valid & (SetAttributesMask.UserId | SetAttributesMask.GroupId)) != 0;
        if (!isGivenAway && (valid & (SetAttributesMask.Size | SetAttributesMask.KillPrivileges)) == 0) return 0;
        FileError error = _tree.GetAttributes(node, out NodeAttributes now);
        if (error != FileError.None) return (int)error;
        if (now.Kind != NodeKind.File) return 0;
        if ((isGivenAway || (valid & SetAttributesMask.KillPrivileges) != 0) && change.Permissions is null && PrivilegeRemoval.Without(now.Mode) != now.Mode)
            change.Permissions = PrivilegeRemoval.Without(now.Mode) & FuseProtocol.PermissionMask;
        if (PrivilegeRemoval.Inspect(_tree, node).HasFlag(FilePrivileges.Capability)) error = PrivilegeRemoval.Remove(_tree, node, FilePrivileges.Capability);
        return (int)error;
    }

    // An access list would not be obeyed: the kernel checks the mode alone. Better no list than one that does nothing.
    private static int Check(ReadOnlySpan<byte> name) => name.Length switch
    {
        0 => (int)FileError.InvalidArgument,
        > FuseProtocol.MaxNameBytes => (int)FileError.BufferTooSmall, // ERANGE, as setxattr(2) has it
        _ => name.StartsWith("system."u8) ? (int)FileError.NotSupported : 0,
    };

    // The tree writes where the reply goes, or, asked for a length, nowhere.
    private static Span<byte> RoomOf(ref FuseCall call, uint size) => call.Room[..(int)Math.Min(size, FuseProtocol.MaxExtendedAttributeBytes)];

    private static int Reply(ref FuseCall call, uint size, FileError error, int length)
    {
        if (error != FileError.None) return (int)error;
        if (size == 0) call.Append<ExtendedAttributeLengthReply>().Size = (uint)length;
        else call.Advance(length);
        return 0;
    }
}
