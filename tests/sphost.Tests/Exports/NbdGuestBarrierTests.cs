using System.Text;
using static StoragePlugins.Host.Tests.Exports.NbdTestClient;

namespace StoragePlugins.Host.Tests.Exports;

/// <summary>Guest barriers on the wire, byte by byte: docs/guest-barriers.md.</summary>
public class NbdGuestBarrierTests
{
    private static MemoryDisk Ordering() => new() { HasBarriers = true };

    private static NbdTestClient Agreed(NbdTestServer server, bool structured = false, string export = "")
    {
        NbdTestClient client = server.Greet();
        if (structured) client.NegotiateStructured();
        Assert.Equal((RepAck, 0), Outcome(client.Ask(OptBarriers, Text(export))));
        client.Go(export);
        return client;
    }

    private static (uint Type, int Bytes) Outcome(List<(uint Type, byte[] Data)> replies) => (Assert.Single(replies).Type, replies[0].Data.Length);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_barrier_that_was_agreed_on_reaches_the_disk_and_is_counted(bool structured)
    {
        MemoryDisk disk = Ordering();
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = Agreed(server, structured);
        for (int i = 1; i <= 3; i++)
        {
            Assert.Equal(0u, client.Do(Write, 0, 512, payload: new byte[512]));
            Assert.Equal(0u, client.Do(GuestBarrier, 0, 0));
            Assert.Equal(i, disk.Barriers);
        }

        MeterReading reading = server.Disk.Meter.Read();
        Assert.Equal((3, 0, 0), (reading.GuestBarriers, reading.GuestFlushes, disk.Flushes));
    }

    [Fact]
    public void Who_did_not_ask_for_barriers_sends_a_command_that_does_not_exist()
    {
        MemoryDisk disk = Ordering();
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        Assert.Equal(EINVAL, client.Do(GuestBarrier, 0, 0));
        Assert.Equal(512, client.ReadBytes(0, 512).Length);
        Assert.Equal(0, disk.Barriers);
    }

    [Fact]
    public void Barriers_are_agreed_on_for_one_export_and_the_last_request_counts()
    {
        MemoryDisk one = Ordering(), two = Ordering();
        using var server = new NbdTestServer([("one", one, ""), ("two", two, "")]);
        using NbdTestClient other = server.Greet();
        Assert.Equal(RepAck, other.Ask(OptBarriers, Text("one"))[^1].Type);
        other.Go("two");
        Assert.Equal(EINVAL, other.Do(GuestBarrier, 0, 0));

        using NbdTestClient failed = server.Greet();
        Assert.Equal(RepAck, failed.Ask(OptBarriers, Text("one"))[^1].Type);
        Assert.Equal(ErrUnknown, failed.Ask(OptBarriers, Text("none"))[^1].Type);
        failed.Go("one");
        Assert.Equal(EINVAL, failed.Do(GuestBarrier, 0, 0));

        using NbdTestClient again = server.Greet();
        Assert.Equal(RepAck, again.Ask(OptBarriers, Text("one"))[^1].Type);
        Assert.Equal(RepAck, again.Ask(OptBarriers, Text("two"))[^1].Type);
        again.Go("two");
        Assert.Equal(0u, again.Do(Write, 0, 512, payload: new byte[512]));
        Assert.Equal(0u, again.Do(GuestBarrier, 0, 0));
        Assert.Equal((0, 1), (one.Barriers, two.Barriers));
    }

    [Fact]
    public void The_default_exports_two_names_are_one_export()
    {
        MemoryDisk disk = Ordering();
        using var server = new NbdTestServer([("disk", disk, "")]);
        using NbdTestClient client = server.Greet();
        Assert.Equal(RepAck, client.Ask(OptBarriers, Text(""))[^1].Type);
        client.Go("disk");
        Assert.Equal(0u, client.Do(GuestBarrier, 0, 0));
    }

    [Fact]
    public void An_export_name_keeps_what_was_agreed_on()
    {
        MemoryDisk disk = Ordering();
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Greet();
        Assert.Equal(RepAck, client.Ask(OptBarriers, Text(""))[^1].Type);
        client.SendOption(OptExportName, []);
        client.Receive(10);
        Assert.Equal(0u, client.Do(GuestBarrier, 0, 0));
        Assert.Equal(1, disk.Barriers);
    }

    [Theory]
    [InlineData(true, true, "read-only")]
    [InlineData(false, false, "cannot order")]
    public void What_cannot_be_ordered_is_not_offered_and_says_why(bool readOnly, bool hasBarriers, string reason)
    {
        using var server = new NbdTestServer(new MemoryDisk { IsReadOnly = readOnly, HasBarriers = hasBarriers });
        using NbdTestClient client = server.Greet();
        (uint type, byte[] text) = Assert.Single(client.Ask(OptBarriers, Text("")));
        Assert.Equal(ErrPolicy, type);
        Assert.Contains(reason, Encoding.UTF8.GetString(text), StringComparison.Ordinal);
        client.Go("");
        Assert.Equal(EINVAL, client.Do(GuestBarrier, 0, 0));
    }

    public static TheoryData<byte[]> Malformed => new()
    {
        Array.Empty<byte>(),
        new byte[] { 0, 0, 0 },
        Big(1u),
        Big(0xffffffffu),
        Join(Big(4097u), new byte[4097]),
        Join(Text(""), [0]),
        Join(Text("disk"), Text("disk")),
    };

    [Theory]
    [MemberData(nameof(Malformed))]
    public void A_request_for_barriers_that_makes_no_sense_is_refused_and_the_handshake_goes_on(byte[] data)
    {
        using var server = new NbdTestServer(Ordering());
        using NbdTestClient client = server.Greet();
        Assert.Equal((ErrInvalid, 0), Outcome(client.Ask(OptBarriers, data)));
        client.Go("");
        Assert.Equal(EINVAL, client.Do(GuestBarrier, 0, 0));
        Assert.Equal(0u, client.Do(Flush, 0, 0));
    }

    [Fact]
    public void A_barrier_with_flags_or_a_range_is_refused_FUA_included()
    {
        MemoryDisk disk = Ordering();
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = Agreed(server);
        foreach (ushort flag in (ushort[])[Fua, NoHole, Df, ReqOne, FastZero, 0x8000]) Assert.Equal(EINVAL, client.Do(GuestBarrier, 0, 0, flag));
        Assert.Equal(EINVAL, client.Do(GuestBarrier, 512, 0));
        Assert.Equal(EINVAL, client.Do(GuestBarrier, 0, 512));
        Assert.Equal(EINVAL, client.Do(GuestBarrier, ulong.MaxValue, uint.MaxValue));
        Assert.Equal(0, disk.Barriers);
        Assert.Equal(0u, client.Do(GuestBarrier, 0, 0));
    }

    [Fact]
    public void A_barrier_is_answered_when_the_disk_has_ordered_and_reads_do_not_wait_for_it()
    {
        MemoryDisk disk = Ordering();
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = Agreed(server, structured: true);
        disk.BarrierMayEnd.Reset();
        Assert.Equal(0u, client.Do(Write, 0, 512, payload: new byte[512]));
        ulong cookie = client.Request(GuestBarrier, 0, 0);
        NbdTestServer.Eventually(() => disk.Barriers == 1, "the barrier is under way");
        Assert.Equal(512, client.ReadBytes(0, 512).Length);
        disk.BarrierMayEnd.Set();
        Assert.Equal(0u, client.ReceiveSimple(cookie));
    }

    [Fact]
    public void A_write_that_was_answered_on_one_connection_is_ordered_by_a_barrier_on_another()
    {
        MemoryDisk disk = Ordering();
        using var server = new NbdTestServer(disk);
        using NbdTestClient writer = server.Open(structured: false), orderer = Agreed(server);
        for (int i = 1; i <= 20; i++)
        {
            Assert.Equal(0u, writer.Do(Write, 0, 512, payload: new byte[512]));
            Assert.Equal(0u, orderer.Do(GuestBarrier, 0, 0));
            Assert.Equal(i, disk.Barriers);
            // Nothing was written since: nothing to order.
            Assert.Equal(0u, orderer.Do(GuestBarrier, 0, 0));
            Assert.Equal(i, disk.Barriers);
        }
    }

    [Fact]
    public void A_barrier_that_lost_order_is_an_error_and_no_later_write_or_flush_is_acknowledged()
    {
        MemoryDisk disk = Ordering();
        disk.BarrierFailure = () => new DurabilityLostException("barrier", "disk", "the device failed");
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = Agreed(server);
        Assert.Equal(EIO, client.Do(GuestBarrier, 0, 0));
        Assert.Equal(EIO, client.Do(Write, 0, 512, payload: new byte[512]));
        Assert.Equal(EIO, client.Do(Flush, 0, 0));
        Assert.Equal(EIO, client.Do(GuestBarrier, 0, 0));
        Assert.Equal((1, 0), (disk.Barriers, disk.Flushes));
    }

    [Fact]
    public void Noise_in_the_option_and_in_the_command_never_takes_the_server_down()
    {
        MemoryDisk disk = Ordering();
        using var server = new NbdTestServer(disk);
        var random = new Random(4230);
        for (int i = 0; i < 200; i++)
        {
            using NbdTestClient client = server.Greet();
            byte[] noise = new byte[random.Next(64)];
            random.NextBytes(noise);
            uint answer = client.Ask(OptBarriers, noise)[^1].Type;
            Assert.True(answer is ErrInvalid or ErrUnknown or RepAck, $"0x{answer:x}");
            if (i % 2 == 0) continue;
            client.Ask(OptBarriers, Text(""));
            client.Go("");
            uint error = client.Do(GuestBarrier, (ulong)random.NextInt64(2), (uint)random.Next(2), (ushort)(random.Next(3) == 0 ? random.Next(65536) : 0));
            Assert.True(error is 0 or EINVAL, $"{error}");
        }

        using NbdTestClient last = server.Open();
        Assert.Equal(512, last.ReadBytes(0, 512).Length);
    }
}
