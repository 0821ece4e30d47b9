using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Host.Exports.Fuse;
using StoragePlugins.Tests;

namespace StoragePlugins.Host.Tests.Exports.Fuse;

/// <summary>Messages as no kernel sends them.</summary>
public sealed unsafe class FuseMessageTests
{
    private const int Room = FuseProtocol.MaxPayloadBytes;

    [Fact]
    public void No_message_whatever_it_holds_gets_more_than_an_error()
    {
        var tree = new MemoryTree { Durability = TreeDurability.OnFlush };
        var dispatcher = new FuseDispatcher(new MountedTree(tree, null), NullLogger.Instance);
        using var memory = new Buffer();
        var random = new Random(1);
        byte[] body = new byte[4096];
        for (int i = 0; i < 200_000; i++)
        {
            int length = random.Next(3) == 0 ? random.Next(8) : random.Next(200);
            random.NextBytes(body.AsSpan(0, length));
            // Small numbers reach further than noise: nodes, handles, sizes that exist.
            for (int at = 0; at + 8 <= length; at += 8) if (random.Next(2) == 0) BitConverter.TryWriteBytes(body.AsSpan(at), (long)random.Next(4) << (8 * random.Next(4)));
            var header = new FuseRequestHeader { Opcode = (FuseOpcode)random.Next(60), Node = (ulong)random.Next(12), Unique = (ulong)i, Length = (uint)length };
            var call = new FuseCall(header, body.AsSpan(0, length), memory.Span);
            int error = dispatcher.Serve(ref call, memory.Listing);
            Assert.InRange(error, FuseDispatcher.NoReply, 511);
            Assert.InRange(call.ReplyLength, 0, error == 0 ? Room : 0);
            Assert.Equal(header.Opcode is FuseOpcode.Forget or FuseOpcode.BatchForget, error == FuseDispatcher.NoReply);
        }
    }

    [Fact]
    public void Every_request_cut_short_is_refused()
    {
        var dispatcher = new FuseDispatcher(new MountedTree(new MemoryTree(), null), NullLogger.Instance);
        using var memory = new Buffer();
        FuseOpcode[] withBody =
        [
            FuseOpcode.Lookup, FuseOpcode.SetAttributes, FuseOpcode.SymbolicLink, FuseOpcode.MakeNode, FuseOpcode.MakeDirectory, FuseOpcode.Unlink, FuseOpcode.RemoveDirectory,
            FuseOpcode.Rename, FuseOpcode.Rename2, FuseOpcode.Link, FuseOpcode.Open, FuseOpcode.Read, FuseOpcode.Write, FuseOpcode.Release, FuseOpcode.SetExtendedAttribute,
            FuseOpcode.GetExtendedAttribute, FuseOpcode.ListExtendedAttributes, FuseOpcode.RemoveExtendedAttribute, FuseOpcode.ReadDirectory, FuseOpcode.ReadDirectoryPlus,
            FuseOpcode.Create, FuseOpcode.Allocate, FuseOpcode.Seek, FuseOpcode.Ioctl,
        ];
        foreach (FuseOpcode opcode in withBody)
        {
            var call = new FuseCall(new FuseRequestHeader { Opcode = opcode, Node = 1 }, [1, 2, 3], memory.Span);
            Assert.Equal(Errno.Io, dispatcher.Serve(ref call, memory.Listing));
        }
    }

    [Fact]
    public void A_read_longer_than_agreed_is_refused_and_not_answered_short()
    {
        var dispatcher = new FuseDispatcher(new MountedTree(new MemoryTree(), null), NullLogger.Instance);
        using var memory = new Buffer();
        byte[] body = MemoryMarshal.AsBytes([new ReadRequest { Size = Room + 1 }]).ToArray();
        var call = new FuseCall(new FuseRequestHeader { Opcode = FuseOpcode.Read, Node = 1 }, body, memory.Span);
        Assert.Equal(Errno.Io, dispatcher.Serve(ref call, memory.Listing));
    }

    [Fact]
    public void A_write_through_a_handle_that_was_never_given_is_refused()
    {
        var mounted = new MountedTree(new MemoryTree(), null);
        var dispatcher = new FuseDispatcher(mounted, NullLogger.Instance);
        using var memory = new Buffer();
        foreach (ulong handle in new ulong[] { 0, 1, 127, 1 << 20, ulong.MaxValue })
        {
            byte[] body = [.. MemoryMarshal.AsBytes([new WriteRequest { Handle = handle, Size = 1 }]), 7];
            var call = new FuseCall(new FuseRequestHeader { Opcode = FuseOpcode.Write, Node = 1 }, body, memory.Span);
            Assert.Equal(Errno.Io, dispatcher.Serve(ref call, memory.Listing));
            Assert.False(mounted.Files.Close(handle, 1));
        }
    }

    [Theory]
    [InlineData(7, 31, true)]
    [InlineData(7, 45, true)]
    [InlineData(7, 30, false)]
    [InlineData(6, 40, false)]
    [InlineData(8, 0, false)]
    public void The_version_decides(uint major, uint minor, bool agreed)
    {
        byte[] body = MemoryMarshal.AsBytes([new InitRequest { Major = major, Minor = minor }]).ToArray();
        (InitReply reply, bool isAgreed) = FuseNegotiation.Answer(body, new MountedTree(new MemoryTree(), null), new FuseSessionOptions(1));
        Assert.Equal((agreed, FuseProtocol.Major), (isAgreed, reply.Major));
        Assert.Equal((major, minor), FuseNegotiation.VersionOf(body));
        Assert.False(FuseNegotiation.Answer(body.AsSpan(0, 15), new MountedTree(new MemoryTree(), null), new FuseSessionOptions(1)).Agreed);
    }

    [Fact]
    public void What_the_kernel_does_not_offer_is_not_taken()
    {
        var mounted = new MountedTree(new MemoryTree { Durability = TreeDurability.OnFlush }, null);
        byte[] body = MemoryMarshal.AsBytes([new InitRequest { Major = 7, Minor = 31, Features = (uint)(FuseFeatures.BigWrites | FuseFeatures.MaxPages) }]).ToArray();
        (InitReply reply, _) = FuseNegotiation.Answer(body.AsSpan(0, InitRequest.MinBytes), mounted, new FuseSessionOptions(1));
        Assert.Equal((uint)(FuseFeatures.BigWrites | FuseFeatures.MaxPages), reply.Features);
        Assert.False(mounted.HasWritebackCache);
    }

    [Fact]
    public void Structures_have_the_sizes_of_the_kernel()
    {
        Assert.Equal(
            (40, 16, 64, 64, 88, 128, 104, 88, 16, 16),
            (sizeof(FuseRequestHeader), sizeof(FuseReplyHeader), sizeof(InitRequest), sizeof(InitReply), sizeof(NodeAttributesWire), sizeof(EntryReply), sizeof(AttributesReply), sizeof(SetAttributesRequest), sizeof(OpenReply), sizeof(Rename2Request)));
        Assert.Equal((32, 16), (sizeof(IoctlRequest), sizeof(IoctlReply)));
        Assert.Equal((24, 40, 40, 80, 32, 24, 24, 288), (sizeof(ReleaseRequest), sizeof(ReadRequest), sizeof(WriteRequest), sizeof(StatFsReply), sizeof(AllocateRequest), sizeof(SeekRequest), sizeof(DirectoryEntry), sizeof(StatXReply)));
    }

    [Fact]
    public void The_barriers_number_is_that_of_the_kernels_macro()
    {
        // _IOW(0xDC, 0x42, __u32): write, four bytes, type, number.
        Assert.Equal(0x4004DC42u, FuseProtocol.BarrierRequest);
    }

    [Fact]
    public void A_barrier_that_makes_no_sense_is_refused()
    {
        var tree = new MemoryTree();
        var mounted = new MountedTree(tree, new StorageMeter());
        var dispatcher = new FuseDispatcher(mounted, NullLogger.Instance);
        using var memory = new Buffer();
        Assert.Equal(FileError.None, tree.Create(tree.RootNode, "f"u8, new NodeRequest(0x81A4, 0, 0), out NodeAttributes file));
        Assert.True(mounted.Files.TryOpen(file.Node, forWriting: true, out ulong handle));
        int Ask(uint command, uint flags, byte[] data, ulong? open = null)
        {
            byte[] body = [.. MemoryMarshal.AsBytes([new IoctlRequest { Handle = open ?? handle, Command = command, Flags = flags, InSize = (uint)data.Length }]), .. data];
            var call = new FuseCall(new FuseRequestHeader { Opcode = FuseOpcode.Ioctl, Node = mounted.WireOf(file.Node) }, body, memory.Span);
            return dispatcher.Serve(ref call, memory.Listing);
        }

        const uint Barrier = FuseProtocol.BarrierRequest;
        Assert.Equal(0, Ask(Barrier, 0, [0, 0, 0, 0]));
        Assert.Equal(0, Ask(Barrier, 0, [1, 0, 0, 0]));
        Assert.Equal(Errno.NotTerminal, Ask(Barrier + 1, 0, [0, 0, 0, 0]));
        Assert.Equal(Errno.NotTerminal, Ask(Barrier, FuseProtocol.IoctlOnDirectory, [0, 0, 0, 0]));
        Assert.Equal(Errno.Io, Ask(Barrier, 0, [0, 0, 0, 0], open: 999));
        Assert.Equal((int)FileError.InvalidArgument, Ask(Barrier, 0, [2, 0, 0, 0]));
        Assert.Equal((int)FileError.InvalidArgument, Ask(Barrier, 0, [0, 0, 0]));
        Assert.Equal((int)FileError.InvalidArgument, Ask(Barrier, 0, []));
        mounted.HasWritebackCache = true;
        Assert.Equal(Errno.Busy, Ask(Barrier, 0, [0, 0, 0, 0]));
        Assert.Equal(0, Ask(Barrier, 0, [1, 0, 0, 0]));
        Assert.Equal((3, 0), (mounted.Meter!.Read().GuestBarriers, tree.Flushes));
    }

    [Fact]
    public void A_tree_that_cannot_order_takes_no_barrier()
    {
        var tree = new MemoryTree { Durability = TreeDurability.OnFlush };
        var mounted = new MountedTree(tree, null);
        var dispatcher = new FuseDispatcher(mounted, NullLogger.Instance);
        using var memory = new Buffer();
        Assert.Equal(FileError.None, tree.Create(tree.RootNode, "f"u8, new NodeRequest(0x81A4, 0, 0), out NodeAttributes file));
        Assert.True(mounted.Files.TryOpen(file.Node, forWriting: true, out ulong handle));
        byte[] body = [.. MemoryMarshal.AsBytes([new IoctlRequest { Handle = handle, Command = FuseProtocol.BarrierRequest, InSize = 4 }]), 0, 0, 0, 0];
        var call = new FuseCall(new FuseRequestHeader { Opcode = FuseOpcode.Ioctl, Node = mounted.WireOf(file.Node) }, body, memory.Span);
        Assert.Equal(Errno.NotTerminal, dispatcher.Serve(ref call, memory.Listing));
    }

    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(-1, 999_999_999, -1)]
    [InlineData(long.MaxValue, 0, long.MaxValue)]
    [InlineData(long.MinValue, 5, long.MinValue)]
    public void Times_that_have_no_place_end_at_the_ends(long seconds, uint nanoseconds, long expected) => Assert.Equal(expected, MountedTree.TimeOf(seconds, nanoseconds));

    private sealed class Buffer : IDisposable
    {
        private readonly byte* _bytes = (byte*)NativeMemory.AlignedAlloc(Room, 4096);

        public Buffer() => Listing = new DirectoryListing(_bytes);

        public DirectoryListing Listing { get; }

        public Span<byte> Span => new(_bytes, Room);

        public void Dispose() => NativeMemory.AlignedFree(_bytes);
    }
}
