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
            FuseOpcode.Create, FuseOpcode.Allocate, FuseOpcode.Seek,
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
        Assert.Equal((24, 40, 40, 80, 32, 24, 24, 288), (sizeof(ReleaseRequest), sizeof(ReadRequest), sizeof(WriteRequest), sizeof(StatFsReply), sizeof(AllocateRequest), sizeof(SeekRequest), sizeof(DirectoryEntry), sizeof(StatXReply)));
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
