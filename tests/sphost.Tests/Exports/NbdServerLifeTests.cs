using System.Net.Sockets;
using System.Net;
using System.Runtime.Versioning;
using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Exports.Nbd;
using StoragePlugins.Media;
using static StoragePlugins.Host.Tests.Exports.NbdTestClient;

namespace StoragePlugins.Host.Tests.Exports;

public class NbdServerLifeTests
{
    [Fact]
    public void Stop_finishes_received_requests_sends_their_replies_and_closes()
    {
        var disk = new MemoryDisk { ColdOffset = 0 };
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        ulong cold = client.Request(Read, 0, 4096);
        NbdTestServer.Eventually(() => disk.BlockedReads == 1, "the cold read is under way");
        Task<bool> stop = Task.Run(() => server.Server.Stop(NbdTestServer.Patience));
        NbdTestServer.Eventually(() => !File.Exists(server.SocketPath), "the server does not listen any more");
        Assert.False(stop.IsCompleted);
        disk.ColdRead.Set();
        Assert.Equal(cold, client.ReceiveChunk().Cookie);
        Assert.True(client.IsClosedByServer());
        Assert.True(stop.Result);
    }

    [Fact]
    public void Stop_lets_a_flush_in_progress_end_and_answers_it()
    {
        var disk = new MemoryDisk();
        disk.FlushMayEnd.Reset();
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        ulong flush = client.Request(Flush, 0, 0);
        NbdTestServer.Eventually(() => disk.FlushesRunning == 1, "the flush is under way");
        Task<bool> stop = Task.Run(() => server.Server.Stop(NbdTestServer.Patience));
        NbdTestServer.Eventually(() => !File.Exists(server.SocketPath), "the server does not listen any more");
        disk.FlushMayEnd.Set();
        Assert.Equal(0u, client.ReceiveSimple(flush));
        Assert.True(stop.Result);
    }

    [Fact]
    public void Stop_is_bounded_when_a_client_takes_no_replies()
    {
        using var server = new NbdTestServer(new MemoryDisk(4 << 20));
        using NbdTestClient client = server.Open();
        for (int i = 0; i < 20; i++) client.Request(Read, 0, 4 << 20, Df);
        NbdTestServer.Eventually(() => server.Server.Buffers.SharedBytes > 0, "requests are in flight");
        Assert.True(server.Server.Stop(TimeSpan.FromMilliseconds(200)));
        Assert.Equal(0, server.Server.Buffers.SharedBytes);
    }

    [Fact]
    public void Stop_says_when_a_request_is_stuck_in_its_disk()
    {
        var disk = new MemoryDisk { ColdOffset = 0 };
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Open();
        client.Request(Read, 0, 512);
        NbdTestServer.Eventually(() => disk.BlockedReads == 1, "the read is under way");
        Assert.False(server.Server.Stop(TimeSpan.FromMilliseconds(50)));
        disk.ColdRead.Set();
        NbdTestServer.Eventually(() => server.Server.ConnectionCount == 0, "the connection has ended");
    }

    [Fact]
    [SupportedOSPlatform("linux")]
    public void The_socket_belongs_to_its_owner_alone_and_is_gone_after_stop()
    {
        var server = new NbdTestServer(new MemoryDisk());
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(server.SocketPath));
        server.Server.Stop(NbdTestServer.Patience);
        Assert.False(File.Exists(server.SocketPath));
        server.Dispose();
    }

    [Fact]
    public void A_socket_that_somebody_listens_on_is_left_alone()
    {
        using var server = new NbdTestServer(new MemoryDisk());
        var failure = Assert.Throws<DiagnosticException>(() => NbdListener.Listen(NbdListener.UnixSocket(server.SocketPath)));
        Assert.Equal("SP4001", failure.Code);
        using NbdTestClient client = server.Open();
        Assert.Equal(512, client.ReadBytes(0, 512).Length);
    }

    [Fact]
    public void A_socket_left_by_a_killed_server_is_replaced()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("nbd");
        string path = Path.Combine(folder.FullName, "s");
        // bind and no listen leaves what a kill leaves; a copy of the name survives the owner's own clean-up.
        using (var dead = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            dead.Bind(new UnixDomainSocketEndPoint(path + ".dead"));
            File.Move(path + ".dead", path);
        }

        Assert.True(File.Exists(path));
        using (Socket listener = NbdListener.Listen(NbdListener.UnixSocket(path)))
        {
            using var client = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            client.Connect(new UnixDomainSocketEndPoint(path));
        }

        folder.Delete(recursive: true);
    }

    [Fact]
    public void A_file_of_another_kind_is_never_removed()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("nbd");
        string path = Path.Combine(folder.FullName, "precious");
        File.WriteAllText(path, "data");
        Assert.Equal("SP4002", Assert.Throws<DiagnosticException>(() => NbdListener.Listen(NbdListener.UnixSocket(path))).Code);
        Assert.Equal("data", File.ReadAllText(path));
        folder.Delete(recursive: true);
    }

    [Fact]
    public void Places_that_cannot_be_are_said_in_one_line()
    {
        var missing = Assert.Throws<DiagnosticException>(() => NbdListener.Listen(NbdListener.UnixSocket("no/such/directory/s")));
        Assert.Equal("SP4005", missing.Code);
        Assert.DoesNotContain('\n', missing.Message);
        Assert.Equal("SP4003", Assert.Throws<DiagnosticException>(() => NbdListener.UnixSocket(new string('x', 108))).Code);
        Assert.Equal("SP4003", Assert.Throws<DiagnosticException>(() => NbdListener.UnixSocket("")).Code);
        Assert.Equal("SP4004", Assert.Throws<DiagnosticException>(() => NbdListener.Listen(new IPEndPoint(IPAddress.Parse("192.0.2.1"), 0))).Code);
    }

    [Fact]
    public void Tcp_serves_on_the_address_given_and_a_used_port_is_said()
    {
        using var disk = new ServedDisk("disk", new MemoryDisk(), new StorageMeter());
        using var server = new NbdServer([new NbdExport("", disk)], new NbdLimits(), NullLogger.Instance);
        server.Start(new IPEndPoint(IPAddress.Loopback, 0));
        var address = (IPEndPoint)server.EndPoint!;
        Assert.NotEqual(0, address.Port);

        using var client = new NbdTestClient(new Socket(SocketType.Stream, ProtocolType.Tcp));
        client.Socket.Connect(address);
        client.Greet();
        client.NegotiateStructured();
        client.Go("");
        Assert.Equal(300_000, client.ReadBytes(0, 300_000).Length);
        Assert.Equal("SP4001", Assert.Throws<DiagnosticException>(() => NbdListener.Listen(address)).Code);
        Assert.True(server.Stop(NbdTestServer.Patience));
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public void Two_exports_of_one_name_are_refused()
    {
        using var disk = new ServedDisk("disk", new MemoryDisk(), new StorageMeter());
        NbdExport[] exports = [new("a", disk), new("a", disk)];
        Assert.Equal("SP4006", Assert.Throws<DiagnosticException>(() => new NbdServer(exports, new NbdLimits(), NullLogger.Instance)).Code);
        exports = [new(new string('x', 5000), disk)];
        Assert.Equal("SP4006", Assert.Throws<DiagnosticException>(() => new NbdServer(exports, new NbdLimits(), NullLogger.Instance)).Code);
    }
}
