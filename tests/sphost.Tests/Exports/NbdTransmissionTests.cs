using System.Buffers.Binary;
using StoragePlugins.Host.Exports.Nbd;
using static StoragePlugins.Host.Tests.Exports.NbdTestClient;

namespace StoragePlugins.Host.Tests.Exports;

public class NbdTransmissionTests
{
    private const int MiB = 1 << 20;

    // Through the connection's buffers, at their edges, and through workers.
    public static TheoryData<int, bool, bool> Transfers
    {
        get
        {
            var data = new TheoryData<int, bool, bool>();
            foreach (int length in (int[])[1, 512, 4096, 128 * 1024, (128 * 1024) + 1, 300_000, 3 * MiB])
            {
                data.Add(length, true, true);
                data.Add(length, false, true);
                data.Add(length, true, false);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Transfers))]
    public void What_is_written_is_on_the_disk_and_is_read_back(int length, bool structured, bool nonBlocking)
    {
        var disk = new MemoryDisk(4 * MiB) { IsNonBlocking = nonBlocking };
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open(structured);
        byte[] data = RandomBytes(length);
        Assert.Equal(0u, client.Do(Write, 777, (uint)length, payload: data));
        Assert.Equal(data, disk.Bytes[777..(777 + length)]);

        if (structured)
        {
            Assert.Equal(data, client.ReadBytes(777, (uint)length));
            Assert.Equal(data, client.ReadBytes(777, (uint)length, Df));
        }
        else
        {
            Assert.Equal(0u, client.ReceiveSimple(client.Request(Read, 777, (uint)length)));
            Assert.Equal(data, client.Receive(length));
        }
    }

    [Fact]
    public void A_write_that_the_disk_declines_at_once_is_done_by_a_worker()
    {
        var disk = new MemoryDisk { DeclinesWritesFrom = 0 };
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        byte[] data = RandomBytes(4096);
        Assert.Equal(0u, client.Do(Write, 4096, 4096, payload: data));
        Assert.Equal(data, disk.Bytes[4096..8192]);
    }

    [Fact]
    public void Many_requests_in_one_packet_are_all_answered()
    {
        var disk = new MemoryDisk();
        RandomBytes(disk.Bytes.Length).CopyTo(disk.Bytes, 0);
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        client.Send(Join([.. Enumerable.Range(0, 100).Select(i => RequestBytes(Read, (ulong)i * 4096, 4096, 0, (ulong)i))]));
        for (int i = 0; i < 100; i++)
        {
            (_, _, ulong cookie, byte[] payload) = client.ReceiveChunk();
            Assert.Equal(disk.Bytes.AsSpan((int)cookie * 4096, 4096), payload.AsSpan(8));
        }
    }

    [Fact]
    public void The_last_chunk_of_a_read_does_not_overtake_its_first_ones()
    {
        const int piece = 128 * 1024;
        int connection = 0;
        var disk = new MemoryDisk
        {
            ColdOffset = piece,
            ReadFailure = () =>
            {
                // The read after the large one keeps the connection's thread busy, so that the worker finishes meanwhile.
                if (connection == 0) connection = Environment.CurrentManagedThreadId;
                else if (connection == Environment.CurrentManagedThreadId) Thread.Sleep(200);
                return null;
            },
        };
        disk.ColdRead.Set();
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        client.Send(Join(RequestBytes(Read, 0, piece + 512, 0, 1), RequestBytes(Read, 0, 512, 0, 2)));
        var done = new List<ulong>();
        for (int i = 0; i < 3; i++)
        {
            (ushort flags, _, ulong cookie, _) = client.ReceiveChunk();
            Assert.DoesNotContain(cookie, done);
            if ((flags & 1) != 0) done.Add(cookie);
        }

        Assert.Equal([1UL, 2UL], done.Order());
    }

    [Fact]
    public void A_request_that_arrives_byte_by_byte_is_served()
    {
        var disk = new MemoryDisk();
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        foreach (byte one in Join(RequestBytes(Write, 0, 3, 0, 9), [1, 2, 3])) client.Send([one]);
        Assert.Equal(0u, client.ReceiveSimple(9));
        Assert.Equal([1, 2, 3], disk.Bytes[..3]);
    }

    public static TheoryData<ushort, ulong, uint, ushort, uint> Refusals => new()
    {
        { Read, MiB - 511, 512, 0, EINVAL },
        { Read, ulong.MaxValue, 1, 0, EINVAL },
        { Read, long.MaxValue, uint.MaxValue, 0, EINVAL },
        { Read, 0, (32 * MiB) + 1, 0, EINVAL },
        { Read, 0, (32 * MiB) + 1, Df, EOVERFLOW },
        { Read, 0, 512, NoHole, EINVAL },
        { Zeroes, MiB, 1, 0, ENOSPC },
        { Zeroes, 0, uint.MaxValue, 0, ENOSPC },
        { Zeroes, 0, 512, Df, EINVAL },
        { Trim, MiB, 1, 0, EINVAL },
        { Trim, 0, 512, FastZero, EINVAL },
        { Cache, MiB - 1, 2, 0, EINVAL },
        { Flush, 1, 0, 0, EINVAL },
        { Flush, 0, 1, 0, EINVAL },
        { Flush, 0, 0, ReqOne, EINVAL },
        { 8, 0, 0, 0, EINVAL },
        { 4711, 0, 0, 0, EINVAL },
        { Read, 0, 512, 0x8000, EINVAL },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public void A_bad_request_gets_the_protocols_error_and_not_the_end(ushort command, ulong offset, uint length, ushort flags, uint expected)
    {
        using var server = new NbdTestServer(new MemoryDisk(MiB));
        using NbdTestClient client = server.Open();
        ulong cookie = client.Request(command, offset, length, flags);
        Assert.Equal(expected, command == Read ? client.ReceiveErrorChunk(cookie) : client.ReceiveSimple(cookie));
        Assert.Equal(512, client.ReadBytes(0, 512).Length);
    }

    [Theory]
    [InlineData(4096, 0)]
    [InlineData(200_000, 0)]
    [InlineData(4096, 0x8000)]
    public void A_refused_write_has_its_payload_skipped(int length, ushort flags)
    {
        using var server = new NbdTestServer(new MemoryDisk(4096));
        using NbdTestClient client = server.Open();
        Assert.Equal(flags == 0 ? ENOSPC : EINVAL, client.Do(Write, 1, (uint)length, flags, new byte[length]));
        Assert.Equal(512, client.ReadBytes(0, 512).Length);
    }

    [Fact]
    public void Every_change_of_a_read_only_disk_is_not_permitted()
    {
        using var server = new NbdTestServer(new MemoryDisk { IsReadOnly = true });
        using NbdTestClient client = server.Open();
        Assert.Equal(EPERM, client.Do(Write, 0, 512, payload: new byte[512]));
        Assert.Equal(EPERM, client.Do(Zeroes, 0, 512));
        Assert.Equal(EPERM, client.Do(Trim, 0, 512));
        Assert.Equal(0u, client.Do(Flush, 0, 0));
    }

    [Fact]
    public void Fua_makes_any_change_durable_before_its_reply()
    {
        var disk = new MemoryDisk();
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        Assert.Equal(0u, client.Do(Write, 0, 512, payload: new byte[512]));
        Assert.Equal(0, disk.Flushes);
        Assert.Equal(0u, client.Do(Write, 0, 512, Fua, new byte[512]));
        Assert.Equal(1, disk.Flushes);
        Assert.Equal(0u, client.Do(Zeroes, 0, 512, Fua));
        Assert.Equal(2, disk.Flushes);
        Assert.Equal(0u, client.Do(Trim, 0, 512, Fua));
        Assert.Equal(3, disk.Flushes);
        Assert.Equal(0u, client.Do(Write, 0, 200_000, Fua, new byte[200_000]));
        Assert.Equal(4, disk.Flushes);
    }

    [Fact]
    public void Fua_is_accepted_where_it_means_nothing()
    {
        using var server = new NbdTestServer(new MemoryDisk());
        using NbdTestClient client = server.Open(structured: true, "base:allocation");
        Assert.Equal(512, client.ReadBytes(0, 512, Fua).Length);
        Assert.Equal(0u, client.Do(Flush, 0, 0, Fua));
        Assert.Equal(0u, client.Do(Cache, 0, 512, Fua));
    }

    [Fact]
    public void A_flush_on_one_connection_covers_the_writes_of_another()
    {
        var disk = new MemoryDisk();
        using var server = new NbdTestServer(disk);
        using NbdTestClient one = server.Open();
        using NbdTestClient two = server.Open();
        Assert.Equal(0u, two.Do(Flush, 0, 0));
        Assert.Equal(1, disk.Flushes);
        Assert.Equal(0u, two.Do(Flush, 0, 0));
        Assert.Equal(1, disk.Flushes);
        Assert.Equal(0u, one.Do(Write, 0, 512, payload: new byte[512]));
        Assert.Equal(0u, two.Do(Flush, 0, 0));
        Assert.Equal(2, disk.Flushes);
    }

    [Fact]
    public void Zeroes_and_trim_reach_the_disk_with_their_flags()
    {
        var disk = new MemoryDisk();
        RandomBytes(disk.Bytes.Length).CopyTo(disk.Bytes, 0);
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        Assert.Equal(0u, client.Do(Zeroes, 0, 4096));
        Assert.Equal(0u, client.Do(Zeroes, 4096, 4096, NoHole));
        Assert.Equal(0u, client.Do(Trim, 8192, 4096));
        Assert.Equal([("zero", 0, 4096, true), ("zero", 4096, 4096, false), ("discard", 8192, 4096, true)], disk.Ranges);
        Assert.All(disk.Bytes[..8192], zero => Assert.Equal(0, zero));
    }

    [Fact]
    public void Fast_zero_fails_at_once_where_zeroing_is_slow_and_changes_nothing()
    {
        var disk = new MemoryDisk { IsZeroingQuick = false };
        disk.Bytes[0] = 1;
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        Assert.Equal(ENOTSUP, client.Do(Zeroes, 0, 4096, FastZero));
        Assert.Equal(1, disk.Bytes[0]);
        Assert.Equal(0u, client.Do(Zeroes, 0, 4096));
        disk.IsZeroingQuick = true;
        Assert.Equal(0u, client.Do(Zeroes, 0, 4096, FastZero));
    }

    [Fact]
    public void A_disk_without_zeroing_gets_zeroes_written_and_refuses_fast_ones()
    {
        var disk = new MemoryDisk { HasExtras = false };
        RandomBytes(disk.Bytes.Length).CopyTo(disk.Bytes, 0);
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        Assert.Equal(ENOTSUP, client.Do(Zeroes, 0, 4096, FastZero));
        Assert.Equal(0u, client.Do(Zeroes, 0, 600_000));
        Assert.All(disk.Bytes[..600_000], zero => Assert.Equal(0, zero));
        Assert.Contains(disk.Bytes[600_000..], one => one != 0);
    }

    [Fact]
    public void Block_status_merges_alike_neighbours_for_each_context()
    {
        var disk = new MemoryDisk(4 * 65536)
        {
            Extents =
            [
                new DiskExtent(65536, ExtentFlags.None, 1), new DiskExtent(65536, ExtentFlags.None, 2),
                new DiskExtent(65536, ExtentFlags.Hole | ExtentFlags.Zero, 0), new DiskExtent(65536, ExtentFlags.Zero, 1),
            ],
        };
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open(structured: true, "base:allocation", "qemu:allocation-depth");

        ulong cookie = client.Request(Status, 4096, (4 * 65536) - 4096);
        (ushort flags, ushort type, ulong answered, byte[] payload) = client.ReceiveChunk();
        Assert.Equal((0, 5, cookie), (flags, type, answered));
        Assert.Equal([131072 - 4096, 0, 65536, 3, 65536, 2], Words(payload)[1..]);
        (flags, type, answered, payload) = client.ReceiveChunk();
        Assert.Equal((1, 5, cookie), (flags, type, answered));
        Assert.Equal([65536 - 4096, 1, 65536, 2, 65536, 0, 65536, 1], Words(payload)[1..]);
    }

    [Fact]
    public void Req_one_gets_one_run_within_the_range()
    {
        var disk = new MemoryDisk(131072) { Extents = [new DiskExtent(65536, ExtentFlags.Hole, 0), new DiskExtent(65536, ExtentFlags.None, 1)] };
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open(structured: true, "base:allocation");
        client.Request(Status, 512, 131072 - 512, ReqOne);
        Assert.Equal([65536 - 512, 1], Words(client.ReceiveChunk().Payload)[1..]);
        client.Request(Status, 512, 512, ReqOne);
        Assert.Equal([512, 1], Words(client.ReceiveChunk().Payload)[1..]);
    }

    [Fact]
    public void A_very_fragmented_status_is_bounded_and_goes_on_from_where_it_ended()
    {
        var disk = new MemoryDisk(4096 * 512) { Extents = [.. Enumerable.Range(0, 4096).Select(i => new DiskExtent(512, (ExtentFlags)(i % 2), i % 2))] };
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open(structured: true, "base:allocation");
        int runs = 0;
        for (uint offset = 0; offset < disk.Length;)
        {
            client.Request(Status, offset, (uint)disk.Length - offset);
            int[] words = Words(client.ReceiveChunk().Payload)[1..];
            Assert.InRange(words.Length, 2, 2 * NbdBlockStatus.MaxDescriptors);
            for (int i = 0; i < words.Length; i += 2, runs++)
            {
                Assert.Equal((512, runs % 2), (words[i], words[i + 1]));
                offset += (uint)words[i];
            }
        }

        Assert.Equal(4096, runs);
    }

    [Fact]
    public void Block_status_without_a_context_is_invalid()
    {
        using var server = new NbdTestServer(new MemoryDisk());
        using NbdTestClient client = server.Open();
        Assert.Equal(EINVAL, client.ReceiveErrorChunk(client.Request(Status, 0, 512)));
    }

    [Fact]
    public void A_cold_read_does_not_stall_other_requests_of_the_connection()
    {
        var disk = new MemoryDisk { ColdOffset = 8192 };
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        ulong cold = client.Request(Read, 8192, 4096);
        NbdTestServer.Eventually(() => disk.BlockedReads == 1, "the cold read is under way");
        Assert.Equal(4096, client.ReadBytes(0, 4096).Length);
        Assert.Equal(0u, client.Do(Write, 0, 512, payload: new byte[512]));
        Assert.Equal(0u, client.Do(Flush, 0, 0));
        disk.ColdRead.Set();
        Assert.Equal(cold, client.ReceiveChunk().Cookie);
    }

    [Fact]
    public void A_large_read_that_meets_cold_data_on_its_way_is_finished_by_a_worker()
    {
        var disk = new MemoryDisk { ColdOffset = 2 * 128 * 1024 };
        new Random(1).NextBytes(disk.Bytes);
        disk.ColdRead.Set();
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        Assert.Equal(disk.Bytes[..600_000], client.ReadBytes(0, 600_000));
    }

    [Fact]
    public void A_large_write_that_the_disk_declines_on_its_way_is_finished_by_a_worker()
    {
        var disk = new MemoryDisk { DeclinesWritesFrom = 200_000 };
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        byte[] data = RandomBytes(600_000);
        Assert.Equal(0u, client.Do(Write, 1, 600_000, Fua, data));
        Assert.Equal(data, disk.Bytes[1..600_001]);
        Assert.Equal(1, disk.Flushes);
        Assert.Equal(512, client.ReadBytes(0, 512).Length);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_large_write_that_fails_on_its_way_is_answered_once_and_the_rest_of_it_skipped(bool nonBlocking)
    {
        int writes = 0;
        var disk = new MemoryDisk
        {
            IsNonBlocking = nonBlocking,
            WriteFailure = () => ++writes > (nonBlocking ? 2 : 0) ? new StorageException(StorageError.NoSpace, "write", "disk", 0, 0, "for a test") : null,
        };
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        Assert.Equal(ENOSPC, client.Do(Write, 0, 600_000, Fua, new byte[600_000]));
        Assert.Equal(0, disk.Flushes);
        Assert.Equal(512, client.ReadBytes(0, 512).Length);
    }

    [Fact]
    public void A_large_read_that_fails_on_its_way_ends_with_an_error_chunk()
    {
        int reads = 0;
        var disk = new MemoryDisk { ReadFailure = () => ++reads > 2 ? new StorageException(StorageError.Io, "read", "disk", 0, 0, "for a test") : null };
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        ulong cookie = client.Request(Read, 0, 600_000);
        Assert.Equal(0, client.ReceiveChunk().Flags);
        Assert.Equal(0, client.ReceiveChunk().Flags);
        Assert.Equal(EIO, client.ReceiveErrorChunk(cookie));
        disk.ReadFailure = () => null;
        Assert.Equal(512, client.ReadBytes(0, 512).Length);
    }

    [Fact]
    public void A_flush_in_progress_does_not_stall_other_requests_of_the_connection()
    {
        var disk = new MemoryDisk { ColdOffset = 8192 };
        disk.ColdRead.Set();
        disk.FlushMayEnd.Reset();
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        ulong[] flushes = [.. Enumerable.Range(0, 60).Select(_ => client.Request(Flush, 0, 0))];
        NbdTestServer.Eventually(() => disk.FlushesRunning == 1, "a flush is under way");
        Assert.Equal(4096, client.ReadBytes(0, 4096).Length);
        // Also what needs a worker: waiting flushes hold none.
        Assert.Equal(4096, client.ReadBytes(8192, 4096).Length);
        Assert.Equal(0u, client.Do(Trim, 0, 4096));
        disk.FlushMayEnd.Set();
        foreach (ulong _ in flushes) Assert.Equal(0u, client.ReceiveAnySimple().Error);
    }

    [Fact]
    public void Fua_writes_of_many_connections_share_flushes()
    {
        var disk = new MemoryDisk();
        disk.FlushMayEnd.Reset();
        using var server = new NbdTestServer(disk);
        NbdTestClient[] clients = [.. Enumerable.Range(0, 16).Select(_ => server.Open())];
        ulong first = clients[0].Request(Write, 0, 512, Fua, new byte[512]);
        NbdTestServer.Eventually(() => disk.FlushesRunning == 1, "the first flush is under way");
        ulong[] cookies = [.. clients.Select(client => client.Request(Write, 0, 512, Fua, new byte[512]))];
        NbdTestServer.Eventually(() => server.Disk.Meter.Read().GuestWrites == 17, "all writes are done");
        // The writes are counted a moment before their flushes are asked for; a read behind each one tells that it was.
        foreach (NbdTestClient client in clients) client.ReadBytes(0, 1);
        disk.FlushMayEnd.Set();
        Assert.Equal(0u, clients[0].ReceiveAnySimple().Error);
        Assert.Equal(0u, clients[0].ReceiveAnySimple().Error);
        for (int i = 1; i < clients.Length; i++) Assert.Equal(0u, clients[i].ReceiveSimple(cookies[i]));
        Assert.Equal(2, disk.Flushes);
        foreach (NbdTestClient client in clients) client.Dispose();
        Assert.NotEqual(first, cookies[0]);
    }

    [Fact]
    public void A_failed_sync_fails_this_and_every_later_flush_and_write_and_reads_go_on()
    {
        var disk = new MemoryDisk { FlushFailure = () => new DurabilityLostException("fdatasync", "disk", "Input/output error") };
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        Assert.Equal(EIO, client.Do(Flush, 0, 0));
        disk.FlushFailure = () => null;
        Assert.Equal(EIO, client.Do(Flush, 0, 0));
        Assert.Equal(EIO, client.Do(Write, 0, 512, payload: new byte[512]));
        Assert.Equal(EIO, client.Do(Write, 0, 512, Fua, new byte[512]));
        Assert.Equal(512, client.ReadBytes(0, 512).Length);
        Assert.Equal(1, disk.Flushes);
    }

    [Theory]
    [InlineData(StorageError.NoSpace, ENOSPC)]
    [InlineData(StorageError.Io, EIO)]
    [InlineData(StorageError.OutOfMemory, 12u)]
    [InlineData(StorageError.NotSupported, EINVAL)]
    public void A_failing_disks_error_reaches_the_client(StorageError error, uint expected)
    {
        var failure = new StorageException(error, "write", "disk", 0, 512, "for a test");
        var disk = new MemoryDisk { WriteFailure = () => failure, ReadFailure = () => failure };
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        Assert.Equal(expected, client.Do(Write, 0, 512, payload: new byte[512]));
        Assert.Equal(expected, client.Do(Write, 0, 200_000, payload: new byte[200_000]));
        Assert.Equal(expected, client.ReceiveErrorChunk(client.Request(Read, 0, 512)));
        Assert.Equal(expected, client.ReceiveErrorChunk(client.Request(Read, 0, 200_000)));
        using NbdTestClient simple = server.Open(structured: false);
        Assert.Equal(expected, simple.Do(Read, 0, 512));
    }

    [Fact]
    public void A_plugin_that_throws_what_it_should_not_fails_its_request_only()
    {
        var disk = new MemoryDisk { ReadFailure = () => new InvalidOperationException("a bug") };
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        Assert.Equal(EIO, client.ReceiveErrorChunk(client.Request(Read, 0, 512)));
        Assert.Equal(EIO, client.ReceiveErrorChunk(client.Request(Read, 0, 200_000)));
        disk.ReadFailure = () => null;
        Assert.Equal(512, client.ReadBytes(0, 512).Length);
        Assert.Contains(server.Log.Lines, line => line.Contains("a bug", StringComparison.Ordinal));
    }

    [Fact]
    public void Disconnect_answers_what_is_in_flight_and_then_closes()
    {
        var disk = new MemoryDisk { ColdOffset = 0 };
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        ulong cold = client.Request(Read, 0, 512);
        client.Request(Disc, 0, 0);
        NbdTestServer.Eventually(() => disk.BlockedReads == 1, "the cold read is under way");
        disk.ColdRead.Set();
        Assert.Equal(cold, client.ReceiveChunk().Cookie);
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public void Requests_and_latencies_are_counted()
    {
        using var server = new NbdTestServer(new MemoryDisk());
        using NbdTestClient client = server.Open();
        client.ReadBytes(0, 4096);
        client.Do(Write, 0, 512, payload: new byte[512]);
        client.Do(Flush, 0, 0);
        client.Do(Write, 0, 512, Fua, new byte[512]);
        NbdTestServer.Eventually(() => server.Disk.Latency.Percentile(0.5) > TimeSpan.Zero, "latencies are recorded");
        MeterReading reading = server.Disk.Meter.Read();
        Assert.Equal((1, 4096, 2, 1024, 2), (reading.GuestReads, reading.GuestReadBytes, reading.GuestWrites, reading.GuestWrittenBytes, reading.GuestFlushes));
    }

    private static int[] Words(byte[] bytes) => [.. Enumerable.Range(0, bytes.Length / 4).Select(i => BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(i * 4)))];

    private static byte[] RandomBytes(int length)
    {
        byte[] bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        return bytes;
    }
}
