using System.Buffers.Binary;
using System.Text;
using static StoragePlugins.Host.Tests.Exports.NbdTestClient;

namespace StoragePlugins.Host.Tests.Exports;

public class NbdHandshakeTests
{
    [Fact]
    public void The_greeting_offers_fixed_newstyle_and_no_zeroes()
    {
        using var server = new NbdTestServer(new MemoryDisk());
        using NbdTestClient client = server.Greet();
        Assert.Equal(3, client.ServerFlags);
    }

    [Fact]
    public void List_names_every_export_with_its_description()
    {
        using var server = new NbdTestServer([("one", new MemoryDisk(), "the first"), ("two", new MemoryDisk(), "")]);
        using NbdTestClient client = server.Greet();
        var replies = client.Ask(OptList);
        Assert.Equal([RepServer, RepServer, RepAck], replies.Select(reply => reply.Type));
        Assert.Equal(Join(Text("one"), Encoding.UTF8.GetBytes("the first")), replies[0].Data);
        Assert.Equal(Text("two"), replies[1].Data);
    }

    [Fact]
    public void Info_tells_all_that_was_asked_for_and_leaves_the_handshake_open()
    {
        using var server = new NbdTestServer([("disk", new MemoryDisk(1 << 20) { PreferredBlockSize = 65536 }, "a disk")]);
        using NbdTestClient client = server.Greet();
        var replies = client.Info(OptInfo, "disk", 1, 2, 3);
        Assert.Equal([RepInfo, RepInfo, RepInfo, RepInfo, RepAck], replies.Select(reply => reply.Type));
        Assert.Equal(1UL << 20, client.ExportSize);
        Assert.Equal(Join(Big((ushort)1), Encoding.UTF8.GetBytes("disk")), replies[1].Data);
        Assert.Equal(Join(Big((ushort)2), Encoding.UTF8.GetBytes("a disk")), replies[2].Data);
        Assert.Equal(Join(Big((ushort)3), Big(1u), Big(65536u), Big(32u << 20)), replies[3].Data);
        client.Go("disk");
    }

    [Fact]
    public void The_empty_name_means_the_first_export()
    {
        using var server = new NbdTestServer([("big", new MemoryDisk(8192), ""), ("small", new MemoryDisk(512), "")]);
        using NbdTestClient client = server.Greet();
        client.Go("");
        Assert.Equal(8192UL, client.ExportSize);
    }

    [Fact]
    public void An_unknown_export_is_an_error_and_not_the_end()
    {
        using var server = new NbdTestServer([("disk", new MemoryDisk(), "")]);
        using NbdTestClient client = server.Greet();
        Assert.Equal(ErrUnknown, Assert.Single(client.Info(OptGo, "other")).Type);
        client.Go("disk");
    }

    [Fact]
    public void A_writable_disk_offers_everything_and_df_only_with_structured_replies()
    {
        using var server = new NbdTestServer(new MemoryDisk());
        using NbdTestClient plain = server.Open(structured: false);
        using NbdTestClient structured = server.Open();
        // HAS_FLAGS, FLUSH, FUA, TRIM, WRITE_ZEROES, MULTI_CONN, CACHE, FAST_ZERO.
        Assert.Equal(0b1101_0110_1101, plain.ExportFlags);
        Assert.Equal(0b1101_0110_1101 | 0b1000_0000, structured.ExportFlags);
    }

    [Fact]
    public void A_read_only_disk_says_so_and_offers_no_change()
    {
        using var server = new NbdTestServer(new MemoryDisk { IsReadOnly = true });
        using NbdTestClient client = server.Open(structured: false);
        Assert.Equal(0b0101_0000_1111, client.ExportFlags);
    }

    [Fact]
    public void A_disk_that_cannot_discard_does_not_offer_trim()
    {
        using var server = new NbdTestServer(new MemoryDisk { HasExtras = false });
        using NbdTestClient client = server.Open(structured: false);
        Assert.Equal(0, client.ExportFlags & (1 << 5));
    }

    [Theory]
    [InlineData(1u, 124)]
    [InlineData(3u, 0)]
    public void Export_name_answers_with_or_without_the_padding_zeroes(uint clientFlags, int padding)
    {
        using var server = new NbdTestServer(new MemoryDisk(4096));
        using var client = new NbdTestClient(server.Connect());
        client.Greet(clientFlags);
        client.SendOption(OptExportName);
        byte[] reply = client.Receive(10 + padding);
        Assert.Equal(4096UL, BinaryPrimitives.ReadUInt64BigEndian(reply));
        Assert.All(reply[10..], zero => Assert.Equal(0, zero));
        Assert.Equal(0u, client.Do(Flush, 0, 0));
    }

    [Fact]
    public void Export_name_of_an_unknown_export_closes_the_connection()
    {
        using var server = new NbdTestServer([("disk", new MemoryDisk(), "")]);
        using NbdTestClient client = server.Greet();
        client.SendOption(OptExportName, Encoding.UTF8.GetBytes("other"));
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public void Abort_is_acknowledged_and_closes()
    {
        using var server = new NbdTestServer(new MemoryDisk());
        using NbdTestClient client = server.Greet();
        Assert.Equal(RepAck, Assert.Single(client.Ask(OptAbort)).Type);
        Assert.True(client.IsClosedByServer());
    }

    [Theory]
    [InlineData(OptStartTls)]
    [InlineData(OptExtended)]
    [InlineData(4711u)]
    public void Options_that_are_not_served_are_unsupported_and_not_the_end(uint option)
    {
        using var server = new NbdTestServer(new MemoryDisk());
        using NbdTestClient client = server.Greet();
        Assert.Equal(ErrUnsup, Assert.Single(client.Ask(option)).Type);
        client.Go("");
    }

    [Fact]
    public void Wildcards_list_a_namespace_and_no_query_lists_all()
    {
        using var server = new NbdTestServer(new MemoryDisk());
        using NbdTestClient client = server.Greet();
        client.NegotiateStructured();
        Assert.Equal(["base:allocation"], Contexts(client.Ask(OptListMeta, Text(""), Big(1u), Text("base:"))));
        Assert.Equal(["qemu:allocation-depth"], Contexts(client.Ask(OptListMeta, Text(""), Big(1u), Text("qemu:"))));
        Assert.Equal(["base:allocation", "qemu:allocation-depth"], Contexts(client.Ask(OptListMeta, Text(""), Big(0u))));
        Assert.Empty(Contexts(client.Ask(OptListMeta, Text(""), Big(1u), Text("other:thing"))));
    }

    [Fact]
    public void Set_selects_known_contexts_with_different_ids_and_ignores_others()
    {
        using var server = new NbdTestServer(new MemoryDisk());
        using NbdTestClient client = server.Greet();
        client.NegotiateStructured();
        var replies = client.SetContexts("", "base:allocation", "x-other:thing", "qemu:allocation-depth");
        Assert.Equal(["base:allocation", "qemu:allocation-depth"], Contexts(replies));
        uint[] ids = [.. replies.Where(reply => reply.Type == RepMeta).Select(reply => BinaryPrimitives.ReadUInt32BigEndian(reply.Data))];
        Assert.NotEqual(ids[0], ids[1]);
    }

    [Fact]
    public void Contexts_need_structured_replies()
    {
        using var server = new NbdTestServer(new MemoryDisk());
        using NbdTestClient client = server.Greet();
        Assert.Equal(ErrInvalid, Assert.Single(client.SetContexts("", "base:allocation")).Type);
    }

    [Fact]
    public void Contexts_of_one_export_do_not_count_for_another()
    {
        using var server = new NbdTestServer([("one", new MemoryDisk(), ""), ("two", new MemoryDisk(), "")]);
        using NbdTestClient client = server.Greet();
        client.NegotiateStructured();
        client.SetContexts("one", "base:allocation");
        client.Go("two");
        Assert.Equal(EINVAL, client.ReceiveErrorChunk(client.Request(Status, 0, 512)));
    }

    public static TheoryData<uint, byte[]> MalformedOptions => new()
    {
        { OptList, [1] },
        { OptStructured, [1] },
        { OptGo, [] },
        { OptGo, [0, 0, 0] },
        { OptGo, Join(Big(100u), [1, 2, 3]) },
        { OptGo, Join(Text("disk"), Big((ushort)9)) },
        { OptInfo, Join(Text("disk"), Big((ushort)0), [7]) },
        { OptGo, Join(Text(new string('x', 4097)), Big((ushort)0)) },
        { OptSetMeta, Text("disk") },
        { OptSetMeta, Join(Text("disk"), Big(3u), Text("base:allocation")) },
        { OptListMeta, Join(Text("disk"), Big(0u), [1]) },
        { OptSetMeta, Join(Text("disk"), Big(uint.MaxValue)) },
    };

    [Theory]
    [MemberData(nameof(MalformedOptions))]
    public void A_malformed_option_is_invalid_and_not_the_end(uint option, byte[] data)
    {
        using var server = new NbdTestServer([("disk", new MemoryDisk(), "")]);
        using NbdTestClient client = server.Greet();
        if (option != OptStructured) client.NegotiateStructured();
        Assert.Equal(ErrInvalid, Assert.Single(client.Ask(option, data)).Type);
        client.Go("disk");
    }

    private static IEnumerable<string> Contexts(List<(uint Type, byte[] Data)> replies)
    {
        Assert.Equal(RepAck, replies[^1].Type);
        return replies.Where(reply => reply.Type == RepMeta).Select(reply => Encoding.UTF8.GetString(reply.Data, 4, reply.Data.Length - 4));
    }
}
