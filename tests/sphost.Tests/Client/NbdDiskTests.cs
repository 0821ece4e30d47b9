using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using StoragePlugins.Client;
using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Exports.Nbd;
using StoragePlugins.Host.Tests.Exports;
using static StoragePlugins.Host.Tests.Exports.NbdTestClient;

namespace StoragePlugins.Host.Tests.Client;

/// <summary>The client library against our server, others' servers, and servers that are none.</summary>
public class NbdDiskTests
{
    private const int MiB = 1 << 20;

    [Fact]
    public void Everything_that_a_disk_can_do_reaches_it()
    {
        var disk = new MemoryDisk(8 * MiB) { HasBarriers = true };
        using var server = new NbdTestServer([("one", new MemoryDisk(), ""), ("two", disk, "")]);
        using NbdDisk client = NbdDisk.Connect(server.Uri("two"));
        Assert.Equal((8 * MiB, true, false), (client.Size, client.SupportsBarriers, client.IsReadOnly));
        Assert.Null(client.WhyNoBarriers);
        Assert.Equal(new NbdBlockSizes(1, 65536, 32 * MiB), client.BlockSizes);
        Assert.True(client.Features.HasFlag(NbdFeatures.MultiConnection | NbdFeatures.Trim | NbdFeatures.Barriers));

        byte[] bytes = new byte[3 * MiB];
        new Random(1).NextBytes(bytes);
        client.Write(100, bytes.AsSpan(0, 1000));
        client.Barrier();
        client.Write(MiB, bytes);
        client.Flush();
        client.Write(512, bytes.AsSpan(0, 512), forceUnitAccess: true);
        client.Trim(4096, 4096);
        client.WriteZeroes(2 * MiB, 8192, mayUnmap: false);
        Assert.True(bytes.AsSpan(0, MiB).SequenceEqual(disk.Bytes.AsSpan(MiB, MiB)));
        Assert.Equal((1, 2), (disk.Barriers, disk.Flushes));
        Assert.Contains(("zero", 2L * MiB, 8192L, false), disk.Ranges);
        Assert.Contains(("discard", 4096L, 4096L, true), disk.Ranges);
        byte[] read = new byte[2 * MiB];
        client.Read(MiB, read);
        Assert.True(read.AsSpan(0, MiB).SequenceEqual(bytes.AsSpan(0, MiB)));
        client.Read(8 * MiB, []);
    }

    [Fact]
    public void Large_requests_are_sent_as_several()
    {
        var disk = new MemoryDisk(MiB);
        using var server = new NbdTestServer(disk);
        using NbdDisk client = NbdDisk.Connect(server.Uri(), new NbdConnectOptions { MaxRequestBytes = 10_000 });
        byte[] bytes = new byte[100_001], back = new byte[100_001];
        new Random(2).NextBytes(bytes);
        client.Write(7, bytes);
        client.Read(7, back);
        Assert.Equal(bytes, back);
        MeterReading reading = server.Disk.Meter.Read();
        Assert.Equal((11, 11), (reading.GuestReads, reading.GuestWrites));
    }

    [Fact]
    public void A_TCP_server_is_reached_by_name_and_port()
    {
        using var served = new ServedDisk("", new MemoryDisk { HasBarriers = true }, new StorageMeter());
        using var server = new NbdServer([new NbdExport("", served)], new NbdLimits(), new RecordingLog());
        server.Start(new IPEndPoint(IPAddress.Loopback, 0));
        using NbdDisk client = NbdDisk.Connect($"nbd://localhost:{((IPEndPoint)server.EndPoint!).Port}");
        client.Write(0, [1, 2, 3]);
        client.Barrier();
        Assert.Equal(1, served.Meter.Read().GuestBarriers);
    }

    [Fact]
    public void A_disk_without_barriers_says_why_and_sends_none()
    {
        using var server = new NbdTestServer([("plain", new MemoryDisk(), ""), ("fixed", new MemoryDisk { HasBarriers = true, IsReadOnly = true }, "")]);
        using NbdDisk plain = NbdDisk.Connect(server.Uri("plain")), fixedDisk = NbdDisk.Connect(server.Uri("fixed"));
        using NbdDisk unasked = NbdDisk.Connect(server.Uri("plain"), new NbdConnectOptions { AskForBarriers = false });
        Assert.Contains("cannot order", plain.WhyNoBarriers, StringComparison.Ordinal);
        Assert.Contains("read-only", fixedDisk.WhyNoBarriers, StringComparison.Ordinal);
        Assert.Contains("not asked for", unasked.WhyNoBarriers, StringComparison.Ordinal);
        Assert.Contains("cannot order", Assert.Throws<NotSupportedException>(plain.Barrier).Message, StringComparison.Ordinal);
        Assert.Throws<NotSupportedException>(() => fixedDisk.Write(0, [1]));
        plain.Write(0, [1]);
        Assert.Equal(0, server.Disk.Meter.Read().GuestBarriers);
    }

    [Theory]
    [InlineData("qemu-nbd", "--persistent", "-f", "raw", "-k", "SOCKET", "FILE")]
    [InlineData("nbdkit", "--foreground", "-U", "SOCKET", "file", "FILE")]
    public void Servers_of_others_do_not_know_barriers_and_serve_the_rest(string program, params string[] arguments)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("nbd");
        string socket = Path.Combine(folder.FullName, "s"), file = Path.Combine(folder.FullName, "disk.raw");
        File.WriteAllBytes(file, new byte[MiB]);
        using Process process = Process.Start(program, arguments.Select(one => one switch { "SOCKET" => socket, "FILE" => file, _ => one }));
        try
        {
            NbdDisk? connected = null;
            NbdTestServer.Eventually(() => (connected = TryConnect(socket)) is not null, $"{program} listens");
            using (NbdDisk client = connected!)
            {
                Assert.Contains("NBD_REP_ERR_UNSUP", client.WhyNoBarriers, StringComparison.Ordinal);
                Assert.Throws<NotSupportedException>(client.Barrier);
                client.Write(4096, "four"u8);
                client.Flush();
                byte[] back = new byte[4];
                client.Read(4096, back);
                Assert.Equal("four"u8, back);
            }

            Assert.Equal("four"u8, File.ReadAllBytes(file).AsSpan(4096, 4));
        }
        finally
        {
            process.Kill();
            process.WaitForExit();
            folder.Delete(recursive: true);
        }
    }

    private static NbdDisk? TryConnect(string socket)
    {
        try
        {
            return NbdDisk.Connect(new NbdUri(null, 0, socket, ""));
        }
        catch (NbdException failure) when (failure.Failure == NbdFailure.Unreachable)
        {
            // Its socket is there before it listens.
            return null;
        }
    }

    [Fact]
    public void Many_threads_share_one_connection()
    {
        var disk = new MemoryDisk(MiB) { HasBarriers = true };
        using var server = new NbdTestServer(disk);
        using NbdDisk client = NbdDisk.Connect(server.Uri());
        Parallel.For(0, 8, thread =>
        {
            byte[] bytes = new byte[4096], back = new byte[4096];
            bytes.AsSpan().Fill((byte)(thread + 1));
            for (int i = 0; i < 100; i++)
            {
                client.Write(thread * 4096, bytes);
                if (i % 3 == 0) client.Barrier();
                client.Read(thread * 4096, back);
                Assert.Equal(bytes, back);
            }
        });
    }

    [Fact]
    public void An_error_of_one_request_is_that_requests_and_the_connection_goes_on()
    {
        var disk = new MemoryDisk(MiB) { HasBarriers = true, BarrierFailure = () => new StorageException(StorageError.NoSpace, "barrier", "disk", -1, 0, "full") };
        using var server = new NbdTestServer(disk);
        using NbdDisk client = NbdDisk.Connect(server.Uri());
        var failure = Assert.Throws<NbdException>(client.Barrier);
        Assert.Equal((NbdFailure.RequestFailed, 28), (failure.Failure, failure.ErrorNumber));
        Assert.Contains("a barrier of 0 bytes at 0 failed with NBD error 28 (ENOSPC)", failure.Message, StringComparison.Ordinal);
        client.Write(0, [1]);
        Assert.Throws<ArgumentOutOfRangeException>(() => client.Write(MiB, [1]));
        Assert.Throws<ArgumentOutOfRangeException>(() => client.Read(-1, new byte[1]));
        client.Flush();
    }

    [Fact]
    public void Whoever_is_not_there_or_has_no_such_export_is_named()
    {
        using var server = new NbdTestServer([("disk", new MemoryDisk(), "")]);
        var none = Assert.Throws<NbdException>(() => NbdDisk.Connect($"nbd+unix:///?socket={server.SocketPath}.not"));
        Assert.Equal(NbdFailure.Unreachable, none.Failure);
        var refused = Assert.Throws<NbdException>(() => NbdDisk.Connect(server.Uri("other")));
        Assert.Equal(NbdFailure.Refused, refused.Failure);
        Assert.Contains("there is no such export", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_server_that_goes_away_ends_the_connection_for_good()
    {
        var server = new NbdTestServer(new MemoryDisk { HasBarriers = true });
        using NbdDisk client = NbdDisk.Connect(server.Uri());
        server.Dispose();
        Assert.Equal(NbdFailure.Disconnected, Assert.Throws<NbdException>(client.Flush).Failure);
        Assert.Contains("has failed before", Assert.Throws<NbdException>(client.Barrier).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_server_that_does_not_answer_is_given_up()
    {
        var disk = new MemoryDisk { HasBarriers = true };
        using var server = new NbdTestServer(disk);
        using NbdDisk client = NbdDisk.Connect(server.Uri(), new NbdConnectOptions { Timeout = TimeSpan.FromMilliseconds(200) });
        disk.BarrierMayEnd.Reset();
        client.Write(0, [1]);
        var watch = Stopwatch.StartNew();
        Assert.Contains("did not answer within 0.2 s", Assert.Throws<NbdException>(client.Barrier).Message, StringComparison.Ordinal);
        Assert.True(watch.Elapsed < NbdTestServer.Patience);
        disk.BarrierMayEnd.Set();
    }

    public static TheoryData<string, byte[]> Nonsense
    {
        get
        {
            byte[] greeting = Join("NBDMAGICIHAVEOPT"u8.ToArray(), Big((ushort)3));
            byte[] Reply(uint option, uint type, params byte[][] data) => Join(Big(0x0003e889045565a9UL), Big(option), Big(type), Big((uint)data.Sum(part => part.Length)), Join(data));
            byte[] unknown = Reply(OptBarriers, ErrUnsup);
            byte[] export = Reply(OptGo, RepInfo, Big((ushort)0), Big(4096UL), Big((ushort)5));
            return new TheoryData<string, byte[]>
            {
                { "no greeting", "HTTP/1.1 400 Bad Request\r\n\r\n"u8.ToArray() },
                { "old style", Join("NBDMAGIC"u8.ToArray(), Big(0x00420281861253UL), new byte[64]) },
                { "not fixed", Join("NBDMAGICIHAVEOPT"u8.ToArray(), Big((ushort)2)) },
                { "another option's reply", Join(greeting, Reply(OptGo, ErrUnsup)) },
                { "an endless reply", Join(greeting, Big(0x0003e889045565a9UL), Big(OptBarriers), Big(ErrUnsup), Big(0xffffffffu)) },
                { "barriers with an information", Join(greeting, Reply(OptBarriers, RepInfo)) },
                { "nothing of the export", Join(greeting, unknown, Reply(OptGo, RepAck)) },
                { "an export of a negative size", Join(greeting, unknown, Reply(OptGo, RepInfo, Big((ushort)0), Big(ulong.MaxValue), Big((ushort)5)), Reply(OptGo, RepAck)) },
                { "an information without a kind", Join(greeting, unknown, Reply(OptGo, RepInfo, [0])) },
                { "blocks of no size", Join(greeting, unknown, export, Reply(OptGo, RepInfo, Big((ushort)3), Big(0u), Big(0u), Big(0u)), Reply(OptGo, RepAck)) },
                { "informations without end", Join([greeting, unknown, .. Enumerable.Repeat(export, 100)]) },
            };
        }
    }

    [Theory]
    [MemberData(nameof(Nonsense))]
    public void What_does_not_speak_the_protocol_is_not_spoken_to(string what, byte[] words)
    {
        using var liar = new Liar(words);
        var failure = Assert.Throws<NbdException>(() => NbdDisk.Connect(liar.Uri, new NbdConnectOptions { Timeout = TimeSpan.FromSeconds(5) }));
        Assert.True(failure.Failure is NbdFailure.Protocol, $"{what}: {failure.Message}");
    }

    [Fact]
    public void A_reply_to_something_else_ends_the_connection()
    {
        byte[] greeting = Join("NBDMAGICIHAVEOPT"u8.ToArray(), Big((ushort)3));
        byte[] Reply(uint option, uint type, params byte[][] data) => Join(Big(0x0003e889045565a9UL), Big(option), Big(type), Big((uint)data.Sum(part => part.Length)), Join(data));
        byte[] words = Join(greeting, Reply(OptBarriers, RepAck), Reply(OptGo, RepInfo, Big((ushort)0), Big(4096UL), Big((ushort)5)), Reply(OptGo, RepAck), Big(0x67446698u), Big(0u), Big(77UL));
        using var liar = new Liar(words);
        using NbdDisk client = NbdDisk.Connect(liar.Uri, new NbdConnectOptions { Timeout = TimeSpan.FromSeconds(5) });
        Assert.True(client.SupportsBarriers);
        Assert.Equal(NbdFailure.Protocol, Assert.Throws<NbdException>(client.Barrier).Failure);
    }

    /// <summary>Says what it was given, whatever it hears.</summary>
    private sealed class Liar : IDisposable
    {
        private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("nbd");
        private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        private readonly Task _serving;

        public Liar(byte[] words)
        {
            _listener.Bind(new UnixDomainSocketEndPoint(Path.Combine(_folder.FullName, "s")));
            _listener.Listen();
            _serving = Task.Run(() =>
            {
                using Socket client = _listener.Accept();
                client.Send(words);
                byte[] heard = new byte[4096];
                try
                {
                    while (client.Receive(heard) > 0)
                    {
                    }
                }
                catch (SocketException)
                {
                    // It hung up on us, as it should.
                }
            });
        }

        public string Uri => $"nbd+unix:///?socket={_folder.FullName}/s";

        public void Dispose()
        {
            Assert.True(_serving.Wait(NbdTestServer.Patience));
            _listener.Dispose();
            _folder.Delete(recursive: true);
        }
    }
}
