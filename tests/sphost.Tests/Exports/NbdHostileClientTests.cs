using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using StoragePlugins.Host.Exports.Nbd;
using static StoragePlugins.Host.Tests.Exports.NbdTestClient;

namespace StoragePlugins.Host.Tests.Exports;

public class NbdHostileClientTests
{
    private const int MiB = 1 << 20;

    public static TheoryData<byte[]> BadHandshakes => new()
    {
        Big(0u),
        Big(0xffffffffu),
        Join(Big(3u), Encoding.ASCII.GetBytes("IHAVENOT"), Big(OptGo), Big(0u)),
        Join(Big(3u), Encoding.ASCII.GetBytes("IHAVEOPT"), Big(OptGo), Big(uint.MaxValue)),
        Join(Big(3u), Encoding.ASCII.GetBytes("IHAVEOPT"), Big(4711u), Big((64u * 1024) + 1)),
        Join(Big(3u), Encoding.ASCII.GetBytes("IHAVEOPT"), Big(OptExportName), Big(5000u), new byte[5000]),
        Encoding.ASCII.GetBytes("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    };

    [Theory]
    [MemberData(nameof(BadHandshakes))]
    public void A_bad_handshake_closes_that_connection_with_a_line_and_no_other(byte[] bytes)
    {
        using var server = new NbdTestServer(new MemoryDisk());
        using NbdTestClient bystander = server.Open();
        using var client = new NbdTestClient(server.Connect());
        client.Receive(18);
        client.Send(bytes);
        Assert.True(client.IsClosedByServer());
        Assert.Contains(server.Log.Lines, line => line.StartsWith("Warning: nbd connection 2 closed:", StringComparison.Ordinal));
        Assert.Equal(512, bystander.ReadBytes(0, 512).Length);
    }

    [Fact]
    public void Thousands_of_options_end_at_the_limit()
    {
        using var server = new NbdTestServer(new MemoryDisk(), new NbdLimits { MaxOptions = 100 });
        using NbdTestClient client = server.Greet();
        for (int i = 0; i < 99; i++) Assert.Equal(ErrUnsup, Assert.Single(client.Ask(4711)).Type);
        client.SendOption(4711);
        Assert.True(client.IsClosedByServer());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    [InlineData(15)]
    [InlineData(30)]
    public void A_half_handshake_is_closed_when_its_time_is_up(int bytes)
    {
        using var server = new NbdTestServer(new MemoryDisk(), new NbdLimits { HandshakeTimeout = TimeSpan.FromMilliseconds(200) });
        using var client = new NbdTestClient(server.Connect());
        client.Send(Join(Big(3u), Encoding.ASCII.GetBytes("IHAVEOPT"), Big(4711u), Big(100u), new byte[100])[..bytes]);
        Assert.True(client.IsClosedByServer());
        NbdTestServer.Eventually(() => server.Server.ConnectionCount == 0, "the connection's thread has ended");
    }

    [Fact]
    public void A_slow_loris_does_not_outlive_the_handshakes_time_by_sending_byte_after_byte()
    {
        using var server = new NbdTestServer(new MemoryDisk(), new NbdLimits { HandshakeTimeout = TimeSpan.FromMilliseconds(300) });
        using NbdTestClient client = server.Greet();
        long start = Stopwatch.GetTimestamp();
        Assert.ThrowsAny<SocketException>(() =>
        {
            client.Send(Join(Encoding.ASCII.GetBytes("IHAVEOPT"), Big(4711u), Big(60_000u)));
            while (Stopwatch.GetElapsedTime(start) < NbdTestServer.Patience)
            {
                client.Send([0]);
                Thread.Sleep(5);
            }
        });
    }

    [Fact]
    public void A_bad_request_magic_closes_that_connection_and_no_other()
    {
        using var server = new NbdTestServer(new MemoryDisk());
        using NbdTestClient bystander = server.Open();
        using NbdTestClient client = server.Open();
        client.Send(new byte[28]);
        Assert.True(client.IsClosedByServer());
        Assert.Contains(server.Log.Lines, line => line.Contains("request with magic 0x00000000", StringComparison.Ordinal));
        Assert.Equal(512, bystander.ReadBytes(0, 512).Length);
    }

    [Theory]
    [InlineData((32u << 20) + 1)]
    [InlineData(uint.MaxValue)]
    public void An_oversized_write_closes_the_connection_without_buffering_it(uint length)
    {
        using var server = new NbdTestServer(new MemoryDisk());
        using NbdTestClient client = server.Open();
        client.Request(Write, 0, length);
        Assert.True(client.IsClosedByServer());
        Assert.Equal(0, server.Server.Buffers.SharedBytes);
    }

    [Fact]
    public void A_client_that_leaves_in_the_middle_of_anything_leaves_nothing_behind()
    {
        var disk = new MemoryDisk(4 * MiB);
        using var server = new NbdTestServer(disk);
        byte[] write = Join(RequestBytes(Write, 0, 2 * MiB, 0, 1), new byte[MiB]);
        foreach (int cut in (int[])[1, 27, 28, 1000, 200_000, write.Length])
        {
            using NbdTestClient client = server.Open();
            client.Send(write[..cut]);
        }

        using (NbdTestClient client = server.Open())
        {
            for (int i = 0; i < 50; i++) client.Request(Read, 0, 4 * MiB);
        }

        NbdTestServer.Eventually(() => server.Server.ConnectionCount == 0, "all connections have ended");
        Assert.Equal(0, server.Server.Buffers.SharedBytes);
        Assert.Empty(server.Log.Lines);
        Assert.All(disk.Bytes, zero => Assert.Equal(0, zero));
    }

    [Fact]
    public void A_connection_storm_beyond_the_limit_is_turned_away_and_room_comes_back()
    {
        using var server = new NbdTestServer(new MemoryDisk(), new NbdLimits { MaxConnections = 20 });
        NbdTestClient[] clients = [.. Enumerable.Range(0, 20).Select(_ => server.Open())];
        for (int i = 0; i < 200; i++)
        {
            using var excess = new NbdTestClient(server.Connect());
            Assert.True(excess.IsClosedByServer());
        }

        Assert.Equal(512, clients[19].ReadBytes(0, 512).Length);
        foreach (NbdTestClient client in clients) client.Dispose();
        NbdTestServer.Eventually(() => server.Server.ConnectionCount == 0, "all connections have ended");
        using NbdTestClient again = server.Open();
        Assert.Equal(512, again.ReadBytes(0, 512).Length);
    }

    [Fact]
    public void A_client_that_never_reads_is_not_read_either_and_others_go_on()
    {
        using var server = new NbdTestServer(new MemoryDisk(), new NbdLimits { MaxRequestsPerConnection = 8 });
        using NbdTestClient deaf = server.Open();
        deaf.Socket.SendTimeout = 300;
        byte[] request = RequestBytes(Read, 0, 65536, 0, 1);
        void SendForever()
        {
            while (true) deaf.Send(request);
        }

        Assert.Throws<SocketException>(SendForever);
        using NbdTestClient client = server.Open();
        for (int i = 0; i < 100; i++) Assert.Equal(65536, client.ReadBytes(0, 65536).Length);
        Assert.Equal(300_000, client.ReadBytes(0, 300_000).Length);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Slow_clients_get_all_their_replies_intact_and_no_worker_waits_for_them(bool nonBlocking)
    {
        var disk = new MemoryDisk(4 * MiB) { IsNonBlocking = nonBlocking };
        new Random(5).NextBytes(disk.Bytes);
        using var server = new NbdTestServer(disk, new NbdLimits { Workers = 2 });
        NbdTestClient[] slow = [.. Enumerable.Range(0, 4).Select(_ => server.Open())];
        foreach (NbdTestClient client in slow)
        {
            for (uint i = 0; i < 30; i++) client.Request(Read, i * 1000, i % 3 == 0 ? 10_000u : 200_000 + i);
        }

        using NbdTestClient quick = server.Open();
        for (int i = 0; i < 20; i++) Assert.Equal(200_000, quick.ReadBytes(0, 200_000).Length);

        foreach (NbdTestClient client in slow)
        {
            foreach ((ulong offset, byte[] data, _) in client.ReceiveReads(30).Values)
                Assert.True(disk.Bytes.AsSpan((int)offset, data.Length).SequenceEqual(data));

            client.Dispose();
        }
    }

    [Fact]
    public void Who_hoards_buffers_that_others_wait_for_is_dropped_and_memory_stays_within_its_bound()
    {
        var limits = new NbdLimits { MaxBufferBytes = 40L * MiB, StallTimeout = TimeSpan.FromMilliseconds(300) };
        using var server = new NbdTestServer(new MemoryDisk(32 * MiB) { IsNonBlocking = false }, limits);
        using NbdTestClient hoarder = server.Open();
        hoarder.Request(Read, 0, 32 * MiB, Df);
        NbdTestServer.Eventually(() => server.Server.Buffers.SharedBytes > 32 * MiB, "the hoarder has its buffer");
        using NbdTestClient loris = server.Open();
        loris.Send(Join(RequestBytes(Write, 0, 4 * MiB, 0, 1), new byte[1000]));
        NbdTestServer.Eventually(() => server.Server.Buffers.SharedBytes > 36 * MiB, "the loris has its buffer");

        // A paused client that harms nobody stays.
        Thread.Sleep(700);
        Assert.Equal(2, server.Server.ConnectionCount);

        using NbdTestClient client = server.Open();
        Assert.Equal(4096, client.ReadBytes(0, 4096).Length);
        Assert.Equal(8 * MiB, client.ReadBytes(0, 8 * MiB, Df).Length);
        Assert.InRange(server.Server.Buffers.SharedBytes, 0, limits.MaxBufferBytes);
        Assert.Contains(server.Log.Lines, line => line.Contains("others wait for its buffers", StringComparison.Ordinal));
    }

    [Fact]
    public void Hundreds_of_large_requests_in_flight_stay_within_the_bound_and_are_all_answered()
    {
        var limits = new NbdLimits { MaxBufferBytes = 48L * MiB };
        using var server = new NbdTestServer(new MemoryDisk(16 * MiB), limits);
        long largest = 0;
        Parallel.For(0, 6, new ParallelOptions { MaxDegreeOfParallelism = 6 }, _ =>
        {
            using NbdTestClient client = server.Open();
            for (int i = 0; i < 20; i++) client.Request(Read, 0, 16 * MiB, Df);
            for (int i = 0; i < 20; i++)
            {
                Assert.Equal((16 * MiB) + 8, client.ReceiveChunk().Payload.Length);
                long now = server.Server.Buffers.SharedBytes;
                if (now > largest) largest = now;
            }
        });
        Assert.InRange(largest, 1, limits.MaxBufferBytes);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Garbage_ends_connections_and_nothing_else(int seed)
    {
        var random = new Random(seed);
        using var server = new NbdTestServer(new MemoryDisk());
        using NbdTestClient bystander = server.Open();
        for (int i = 0; i < 150; i++)
        {
            using var client = new NbdTestClient(server.Connect());
            client.Socket.ReceiveTimeout = 50;
            try
            {
                client.Greet();
                if (i % 3 > 0) client.Go("");
                client.Send(i % 3 == 2 ? PlausibleRequests(random) : Garbage(random));
                client.Receive(16);
            }
            catch (Exception failure) when (failure is SocketException or EndOfStreamException)
            {
                // What becomes of a garbler is its own business.
            }
        }

        NbdTestServer.Eventually(() => server.Server.ConnectionCount == 1, "all garblers are gone");
        Assert.Equal(512, bystander.ReadBytes(0, 512).Length);
        Assert.DoesNotContain(server.Log.Lines, line => line.Contains("unexpected", StringComparison.Ordinal));
        Assert.Equal(0, server.Server.Buffers.SharedBytes);
    }

    private static byte[] Garbage(Random random)
    {
        byte[] bytes = new byte[random.Next(1, 20_000)];
        random.NextBytes(bytes);
        return bytes;
    }

    // The right magic, and everything else at random.
    private static byte[] PlausibleRequests(Random random) => Join([.. Enumerable.Range(0, 20).Select(_ => RequestBytes(
        (ushort)random.Next(0, 10), (ulong)random.NextInt64(-1, 2 * MiB), (uint)random.Next(0, random.Next(2) == 0 ? 4096 : int.MaxValue),
        (ushort)(random.Next(4) == 0 ? random.Next(65536) : random.Next(32)), (ulong)random.NextInt64()))]);
}
