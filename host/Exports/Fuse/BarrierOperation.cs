namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>The ioctl on a file that asks for order without durability: docs/guest-barriers.md, where the answers are listed.</summary>
internal sealed class BarrierOperation(MountedTree mounted)
{
    private readonly IOrderedTree? _ordered = mounted.Tree as IOrderedTree;

    public int Answer(ref FuseCall call)
    {
        if (!call.TryTake(out IoctlRequest request)) return Errno.Io;
        if (request.Command != FuseProtocol.BarrierRequest || (request.Flags & FuseProtocol.IoctlOnDirectory) != 0) return Errno.NotTerminal;
        ulong node = mounted.NodeOf(call.Header.Node);
        if (mounted.Files.Find(request.Handle, node) is null) return Errno.Io;
        if (!mounted.IsDurableOnReturn && _ordered?.CanOrder(node) is not true) return Errno.NotTerminal;
        if (request.InSize != sizeof(uint) || !call.TryTake(out uint flags) || (flags & ~FuseProtocol.BarrierPagesWrittenBack) != 0) return (int)FileError.InvalidArgument;
        // What waits in the kernel was not heard of here: who does not say that nothing does would be promised too much.
        if (mounted.HasWritebackCache && (flags & FuseProtocol.BarrierPagesWrittenBack) == 0) return Errno.Busy;
        // Where writes are durable when they return they are in order as well.
        if (!mounted.IsDurableOnReturn) _ordered!.Barrier(node);
        mounted.Meter?.CountGuestBarrier();
        call.Append<IoctlReply>();
        return 0;
    }
}
