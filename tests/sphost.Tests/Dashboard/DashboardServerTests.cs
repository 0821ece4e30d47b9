using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Host.Dashboard;
using StoragePlugins.Host.Telemetry;
using StoragePlugins.Host.Tests.Exports;
using StoragePlugins.Host.Tests.Telemetry;

namespace StoragePlugins.Host.Tests.Dashboard;

public sealed class DashboardServerTests : IDisposable
{
    private readonly WatchedDisk _disk = new();
    private readonly DashboardServer _server = DashboardServer.Listen(new DashboardAddress(new IPEndPoint(IPAddress.Loopback, 0)), NullLogger.Instance);
    private readonly HttpClient _client;

    public DashboardServerTests()
    {
        _server.Start(() => [_disk]);
        _client = new HttpClient { BaseAddress = new Uri(_server.Address), Timeout = NbdTestServer.Patience };
    }

    public void Dispose()
    {
        _client.Dispose();
        _server.Dispose();
        _disk.Dispose();
    }

    [Theory]
    [InlineData("/", "text/html")]
    [InlineData("/dashboard.js", "text/javascript")]
    [InlineData("/charts.js", "text/javascript")]
    [InlineData("/figures.js", "text/javascript")]
    [InlineData("/uPlot.js", "text/javascript")]
    [InlineData("/uPlot.css", "text/css")]
    [InlineData("/dashboard.css?x=1", "text/css")]
    [InlineData("/icon.svg", "image/svg+xml")]
    [InlineData("/stats.json", "application/json")]
    public async Task Every_file_of_the_page_is_there_and_may_load_nothing_from_elsewhere(string path, string type)
    {
        using HttpResponseMessage reply = await _client.GetAsync(path);
        Assert.Equal((HttpStatusCode.OK, type), (reply.StatusCode, reply.Content.Headers.ContentType!.MediaType));
        Assert.True((await reply.Content.ReadAsByteArrayAsync()).Length > 50);
        string policy = reply.Headers.GetValues("Content-Security-Policy").Single();
        Assert.Contains("default-src 'none'", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("http", policy, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("GET /nothing HTTP/1.1\r\nHost: localhost", "404")]
    [InlineData("GET /../../etc/passwd HTTP/1.1\r\nHost: localhost", "404")]
    [InlineData("POST / HTTP/1.1\r\nHost: localhost", "405")]
    [InlineData("DELETE /stats.json HTTP/1.1\r\nHost: localhost", "405")]
    [InlineData("GET / HTTP/1.1", "421")]
    [InlineData("GET / HTTP/1.1\r\nHost: evil.example", "421")]
    [InlineData("GET / HTTP/1.1\r\nHost: evil.example:80", "421")]
    [InlineData("GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example", "421")]
    [InlineData("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example", "400")]
    [InlineData("GET http://evil.example/ HTTP/1.1\r\nHost: localhost", "400")]
    [InlineData("\u0016\u0003\u0001", "400")]
    [InlineData("GET / HTTP/1.1\r\nHost: LOCALHOST:1234", "200")]
    [InlineData("GET / HTTP/1.1\r\nHost: [::1]:9464", "200")]
    [InlineData("HEAD / HTTP/1.1\r\nhost:127.0.0.1", "200")]
    public void Only_reading_by_address_is_answered(string head, string status) => Assert.StartsWith($"HTTP/1.1 {status} ", Ask(head + "\r\n\r\n"), StringComparison.Ordinal);

    [Fact]
    public void Head_that_does_not_end_is_cut_off() => Assert.StartsWith("HTTP/1.1 400 ", Ask("GET / HTTP/1.1\r\nX: " + new string('x', 40_000)), StringComparison.Ordinal);

    [Fact]
    public void Further_clients_are_sent_away_and_the_others_served_on()
    {
        var idle = new List<Socket>();
        try
        {
            for (int i = 0; i < DashboardServer.MaxConnections; i++) idle.Add(Connect());
            NbdTestServer.Eventually(() => Ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").Length == 0, "the house is full");
            idle[0].Send(Encoding.ASCII.GetBytes("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            Assert.StartsWith("HTTP/1.1 200 ", ReadAll(idle[0]), StringComparison.Ordinal);
        }
        finally
        {
            foreach (Socket socket in idle) socket.Dispose();
        }

        NbdTestServer.Eventually(() => Ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").StartsWith("HTTP/1.1 200 ", StringComparison.Ordinal), "there is room again");
    }

    [Fact]
    public async Task Fresh_page_gets_what_was_kept_then_each_second_and_the_end()
    {
        _disk.Served.Write(0, new byte[4096]);
        await Task.Delay(1100);
        using var stream = new StreamReader(await _client.GetStreamAsync("/events"));
        JsonElement history = await NextAsync(stream, "history");
        JsonElement disk = history.GetProperty("disks")[0];
        Assert.Equal(("web", 1L), (disk.GetProperty("name").GetString(), disk.GetProperty("stats").GetProperty("guestWrites").GetInt64()));
        Assert.InRange(disk.GetProperty("history").GetArrayLength(), 2, 20);
        Assert.All(disk.GetProperty("history").EnumerateArray(), sample => Assert.Equal(1 + DiskHistory.Series.Length, sample.GetArrayLength()));
        int writes = 1 + Array.IndexOf(DiskHistory.Series, "writes");
        Assert.Contains(disk.GetProperty("history").EnumerateArray(), sample => sample[writes].GetDouble() > 0);

        JsonElement tick = await NextAsync(stream, "tick");
        Assert.Equal(1 + DiskHistory.Series.Length, tick.GetProperty("disks")[0].GetProperty("sample").GetArrayLength());
        _server.Dispose();
        await NextAsync(stream, "end");
        Assert.Equal("", await stream.ReadToEndAsync());
    }

    [Fact]
    public void History_is_a_ring()
    {
        var history = new DiskHistory(_disk);
        for (int i = 0; i < DiskHistory.Samples + 5; i++) history.Sample(i);
        using var text = new MemoryStream();
        using (var json = new Utf8JsonWriter(text))
        {
            json.WriteStartArray();
            history.Write(json, all: true);
            json.WriteEndArray();
        }

        JsonElement samples = JsonDocument.Parse(text.ToArray()).RootElement;
        Assert.Equal(DiskHistory.Samples, samples.GetArrayLength());
        Assert.Equal((5, DiskHistory.Samples + 4), (samples[0][0].GetInt32(), samples[DiskHistory.Samples - 1][0].GetInt32()));
    }

    [Fact]
    public void Disks_beyond_the_limit_are_counted_and_not_kept()
    {
        WatchedDisk[] disks = [.. Enumerable.Range(0, DashboardFeed.MaxDisks + 3).Select(i => new WatchedDisk($"d{i}"))];
        using var feed = new DashboardFeed(() => disks);
        Assert.True(feed.Listen().Reader.TryRead(out byte[]? history));
        JsonElement all = JsonDocument.Parse(Encoding.UTF8.GetString(history).Split("data: ", 2)[1]).RootElement;
        Assert.Equal((DashboardFeed.MaxDisks, 3), (all.GetProperty("disks").GetArrayLength(), all.GetProperty("disksLeftOut").GetInt32()));
        foreach (WatchedDisk disk in disks) disk.Dispose();
    }

    private static async Task<JsonElement> NextAsync(StreamReader stream, string name)
    {
        while (true)
        {
            string line = await stream.ReadLineAsync() ?? throw new EndOfStreamException($"no event '{name}'");
            if (line != $"event: {name}") continue;
            JsonElement data = JsonDocument.Parse((await stream.ReadLineAsync())!["data: ".Length..]).RootElement;
            Assert.Equal("", await stream.ReadLineAsync());
            return data;
        }
    }

    private Socket Connect()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = (int)NbdTestServer.Patience.TotalMilliseconds };
        socket.Connect(IPAddress.Loopback, new Uri(_server.Address).Port);
        return socket;
    }

    private string Ask(string request)
    {
        using Socket socket = Connect();
        try
        {
            socket.Send(Encoding.Latin1.GetBytes(request));
        }
        catch (SocketException)
        {
            return "";
        }

        return ReadAll(socket);
    }

    // An answer that is followed by a reset, since the rest of the request was never read, is an answer too.
    private static string ReadAll(Socket socket)
    {
        var text = new StringBuilder();
        byte[] part = new byte[4096];
        try
        {
            for (int got; (got = socket.Receive(part)) > 0;) text.Append(Encoding.Latin1.GetString(part, 0, got));
        }
        catch (SocketException)
        {
        }

        return text.ToString();
    }
}

public sealed class DashboardAddressTests
{
    [Theory]
    [InlineData("9464", "127.0.0.1:9464")]
    [InlineData(":9464", "127.0.0.1:9464")]
    [InlineData("localhost:0", "127.0.0.1:0")]
    [InlineData("127.0.0.2:80", "127.0.0.2:80")]
    [InlineData("[::1]:9464", "[::1]:9464")]
    public void Loopback_is_meant_where_nothing_else_is_said(string text, string expected) => Assert.Equal(expected, DashboardAddress.Parse(text, mayBeRemote: false).EndPoint.ToString());

    [Theory]
    [InlineData("")]
    [InlineData("web:80")]
    [InlineData("127.0.0.1:")]
    [InlineData("127.0.0.1:70000")]
    public void Nonsense_is_said_so(string text) => Assert.Equal("SP4241", Assert.Throws<DiagnosticException>(() => DashboardAddress.Parse(text, mayBeRemote: true)).Code);

    [Theory]
    [InlineData("0.0.0.0:9464")]
    [InlineData("[::]:9464")]
    [InlineData("192.0.2.1:9464")]
    public void Others_reach_it_only_when_that_is_said_too(string text)
    {
        Assert.Equal("SP4242", Assert.Throws<DiagnosticException>(() => DashboardAddress.Parse(text, mayBeRemote: false)).Code);
        Assert.False(DashboardAddress.Parse(text, mayBeRemote: true).IsLoopback);
    }
}
