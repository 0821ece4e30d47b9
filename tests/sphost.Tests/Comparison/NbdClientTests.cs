using System.Net.Sockets;
using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Tests.Exports;

namespace StoragePlugins.Host.Tests.Comparison;

public sealed class NbdClientTests
{
    [Fact]
    public void A_write_and_a_flush_reach_the_disk()
    {
        using var disk = new MemoryDisk(1 << 20);
        using var server = new NbdTestServer(disk);
        using (NbdClient client = NbdClient.Connect(server.SocketPath, "test", 4096))
        {
            Assert.Equal(1 << 20, client.Size);
            client.Payload.Fill(0xAB);
            client.Write(8192, 4096);
            client.Write(512, 512);
            client.Flush();
        }

        byte[] found = new byte[4096];
        server.Disk.Read(8192, found);
        Assert.True(found.AsSpan().IndexOfAnyExcept((byte)0xAB) < 0);
        server.Disk.Read(512, found);
        Assert.Equal(512, found.AsSpan().IndexOf((byte)0));
        Assert.Equal(1, server.Disk.Meter.Read().GuestFlushes);
        NbdTestServer.Eventually(() => server.Server.ConnectionCount == 0, "it said good-bye");
        Assert.Empty(server.Log.Lines);
    }

    [Fact]
    public void A_request_that_the_server_fails_is_an_error_that_names_it()
    {
        using var disk = new MemoryDisk(1 << 20) { WriteFailure = () => new StorageException(StorageError.NoSpace, "write", "disk", 8192, 4096, "full") };
        using var server = new NbdTestServer(disk);
        using NbdClient client = NbdClient.Connect(server.SocketPath, "the server", 4096);
        var failure = Assert.Throws<DiagnosticException>(() => client.Write(8192, 4096));
        Assert.Equal("SP4106", failure.Code);
        Assert.Contains("the server: the NBD server failed: a write of 4096 bytes at 8192 failed", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_server_that_goes_away_is_an_error_and_not_an_endless_wait()
    {
        using var disk = new MemoryDisk(1 << 20);
        var server = new NbdTestServer(disk);
        using NbdClient client = NbdClient.Connect(server.SocketPath, "test", 4096);
        server.Dispose();
        Assert.Equal("SP4106", Assert.Throws<DiagnosticException>(() => client.Flush()).Code);
    }

    [Theory]
    [InlineData("HTTP/1.1 400 Bad Request\r\n\r\n")]
    [InlineData("short")]
    public void What_is_no_NBD_server_is_said_to_be_none(string greeting)
    {
        string folder = Directory.CreateTempSubdirectory("nbd").FullName, path = Path.Combine(folder, "s");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        Task serving = Task.Run(() =>
        {
            using Socket client = listener.Accept();
            client.Send(System.Text.Encoding.ASCII.GetBytes(greeting));
        });
        Assert.Equal("SP4106", Assert.Throws<DiagnosticException>(() => NbdClient.Connect(path, "test", 4096)).Code);
        serving.Wait();
        Directory.Delete(folder, recursive: true);
    }
}
