using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>Metrics sent by OTLP, and the dashboard's switches, of the real program.</summary>
public sealed class MonitoringTests : Scratch
{
    private const string KindTag = "storageplugins.request.kind";

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Collector_gets_what_the_control_socket_says(bool isGrpc)
    {
        await using OtlpCollector collector = await OtlpCollector.StartAsync(isGrpc);
        using SphostProcess sphost = SphostProcess.ServeWith(
            Folder, [("OTEL_METRIC_EXPORT_INTERVAL", "300"), ("OTEL_EXPORTER_OTLP_PROTOCOL", isGrpc ? "grpc" : "http/protobuf"), ("OTEL_SERVICE_NAME", "under-test")],
            "vm.qcow2", "--size", "64M", "--otlp", collector.Address);
        Qemu.Io("raw", sphost.Uri(), "write 0 64k", "write 64k 4k", "flush", "read 0 16k", "read 1M 4k", "read 64k 4k", "discard 2M 1M", "write -z 4M 64k", "flush");
        JsonObject stats = Stats();
        SpinWait.SpinUntil(() => collector.Received.Count > 2, TimeSpan.FromSeconds(20));
        Assert.True(collector.Received.Count > 2, $"nothing came: {sphost.Errors} {string.Join(", ", collector.Strange)}");
        Assert.Empty(collector.Strange);
        Assert.Equal("sum", collector.Received[^1]["storageplugins.journal.limit"].Kind);
        sphost.Close();
        Assert.Equal("", sphost.Errors.Replace("sphost: note made vm.qcow2, 64M, qcow2\n", "", StringComparison.Ordinal));

        OtlpMetrics last = collector.Received[^1];
        Assert.Equal(("under-test", "StoragePlugins"), (last.Resource["service.name"], last.Scope));
        Dictionary<string, double> requests = ByKind(last["storageplugins.disk.requests"]);
        Assert.Equal(((double)stats["guestReads"]!, (double)stats["guestFlushes"]!), (requests["read"], requests["flush"]));
        Assert.Equal((double)stats["guestWrites"]!, requests["write"] + requests["discard"] + requests["zero"]);
        Assert.Equal((3, 2, 1, 1), (requests["read"], requests["write"], requests["discard"], requests["zero"]));
        Assert.Equal(24 * 1024, ByKind(last["storageplugins.disk.io"])["read"]);
        Assert.All(last["storageplugins.disk.requests"].Points, point =>
            Assert.Equal(("vm.qcow2", "qcow2-journal", "nbd"), (point.Tags["storageplugins.disk.name"], point.Tags["storageplugins.pipeline.name"], point.Tags["storageplugins.export"])));
        RequireSums(last);
        RequireDurations(last["storageplugins.disk.request.duration"], requests);
    }

    [Fact]
    public async Task Environment_alone_switches_it_on()
    {
        await using OtlpCollector collector = await OtlpCollector.StartAsync(isGrpc: false);
        using SphostProcess sphost = SphostProcess.ServeWith(Folder, [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.Address)], "vm.raw", "--size", "1M", "-p", "raw");
        Assert.Contains($"metrics: http/protobuf to {collector.Address}/v1/metrics, as sphost", sphost.Output, StringComparison.Ordinal);
        Assert.NotEqual("", LoadedOfOpenTelemetry(sphost));
        sphost.Close();
        // The interval is a minute: this is what was sent at the end.
        Assert.Equal("vm.raw", Assert.Single(collector.Received)["storageplugins.disk.durability_lost"].Points[0].Tags["storageplugins.disk.name"]);
    }

    [Fact]
    public void Nothing_of_it_is_loaded_where_nothing_is_sent()
    {
        using SphostProcess sphost = SphostProcess.Serve(Folder, "vm.raw", "--size", "1M", "-p", "raw");
        Qemu.Io("raw", sphost.Uri(), "write 0 4k", "flush");
        Assert.Equal("", LoadedOfOpenTelemetry(sphost));
        sphost.Close();
    }

    [Fact]
    public void Collector_that_is_not_there_is_told_once_and_disturbs_nobody()
    {
        using SphostProcess sphost = SphostProcess.ServeWith(Folder, [("OTEL_METRIC_EXPORT_INTERVAL", "100")], "vm.raw", "--size", "16M", "-p", "raw", "--otlp", "http://127.0.0.1:9");
        SpinWait.SpinUntil(() => sphost.Errors.Contains("SP4244", StringComparison.Ordinal), TimeSpan.FromSeconds(30));
        Fio.Nbd(sphost.Uri(), "--rw=randwrite", "--bs=4k", "--iodepth=8", "--size=16m", "--verify=crc32c", "--do_verify=1");
        sphost.Close();
        string told = Assert.Single(sphost.Errors.Split('\n'), line => line.Contains("SP4244", StringComparison.Ordinal));
        Assert.Contains("refused", told, StringComparison.Ordinal);
        Assert.Contains("127.0.0.1:9", told, StringComparison.Ordinal);
    }

    [Fact]
    public void Collector_that_never_answers_holds_nothing_up()
    {
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        using SphostProcess sphost = SphostProcess.ServeWith(Folder, [("OTEL_METRIC_EXPORT_INTERVAL", "100")], "vm.raw", "--size", "16M", "-p", "raw", "--otlp", $"http://{silent.LocalEndpoint}");
        using Socket collector = silent.AcceptSocket();
        Fio.Nbd(sphost.Uri(), "--rw=randwrite", "--bs=4k", "--size=16m");
        long start = Stopwatch.GetTimestamp();
        sphost.Close();
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, 0, 12);
    }

    [Theory]
    [InlineData("SP4243", "--otlp", "localhost:4318")]
    [InlineData("SP4241", "--dashboard", "everywhere")]
    [InlineData("SP4242", "--dashboard", "0.0.0.0:0")]
    [InlineData("SP4245", "--dashboard", "192.0.2.7:0", "--dashboard-remote")]
    public void What_makes_no_sense_is_told_before_anything_is_made(string code, params string[] options)
    {
        ToolResult result = Tool.Sphost(["serve", PathOf("new.qcow2"), "--size", "64M", .. options]);
        Assert.Equal(1, result.ExitCode);
        Assert.StartsWith($"sphost: error {code}: ", result.Errors, StringComparison.Ordinal);
        Assert.False(File.Exists(PathOf("new.qcow2")));
    }

    [Fact]
    public void Port_that_is_taken_is_told_before_anything_is_made()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        ToolResult result = Tool.Sphost("serve", PathOf("new.qcow2"), "--size", "64M", "--dashboard", taken.LocalEndpoint.ToString()!);
        Assert.StartsWith($"sphost: error SP4240: {taken.LocalEndpoint}: ", result.Errors, StringComparison.Ordinal);
        Assert.False(File.Exists(PathOf("new.qcow2")));
    }

    [Fact]
    public async Task Dashboard_of_the_configuration_may_be_reached_by_others_only_when_the_command_says_so()
    {
        File.WriteAllText(PathOf("disks.json"), """{ "disks": { "web": { "image": "web.raw", "size": "1M" } }, "telemetry": { "dashboard": "0.0.0.0:0" } }""");
        Assert.Contains("SP4242", Tool.RunIn(Folder, null, SphostProcess.Executable, "serve", "--config", "disks.json").Expect(1).Errors, StringComparison.Ordinal);
        using SphostProcess sphost = SphostProcess.Serve(Folder, "--config", "disks.json", "--dashboard-remote");
        Assert.Contains("SP4246", sphost.Errors, StringComparison.Ordinal);
        using var client = new HttpClient();
        string port = sphost.DashboardAddress.TrimEnd('/').Split(':')[^1];
        Assert.Equal("web", (string)JsonNode.Parse(await client.GetStringAsync($"http://127.0.0.1:{port}/stats.json"))![0]!["name"]!);
        sphost.Close();
    }

    [FuseFact]
    public async Task Mounted_disk_is_watched_too()
    {
        Directory.CreateDirectory(PathOf("mnt"));
        Qemu.Img("create", "-f", "qcow2", PathOf("vm.qcow2"), "64M");
        using SphostProcess sphost = SphostProcess.Mount(Folder, "vm.qcow2", "mnt", "--dashboard", "0", "--writeback-cache", "off");
        Tool.Succeed("dd", "if=/dev/zero", $"of={PathOf("mnt/disk")}", "bs=64k", "count=4", "conv=notrunc,fdatasync");
        using var client = new HttpClient();
        JsonNode disk = JsonNode.Parse(await client.GetStringAsync(sphost.DashboardAddress + "stats.json"))![0]!;
        Assert.Equal(("vm.qcow2", 256 * 1024, 1), ((string)disk["name"]!, (long)disk["guestWrittenBytes"]!, (long)disk["guestFlushes"]!));
        Assert.True((double)disk["p50Microseconds"]! > 0);
        Assert.Null(disk["connections"]);
        Assert.True((long)disk["journal"]!["pendingTransactions"]! > 0);
        sphost.Close();
    }

    private static Dictionary<string, double> ByKind(OtlpMetric metric) => metric.Points.ToDictionary(point => point.Tags[KindTag], point => point.Value);

    private static void RequireSums(OtlpMetrics all)
    {
        foreach (string counter in (string[])["storageplugins.disk.requests", "storageplugins.disk.io", "storageplugins.host.io", "storageplugins.host.operations", "storageplugins.host.flushes", "storageplugins.host.barriers"])
            Assert.Equal(("sum", true, true), (all[counter].Kind, all[counter].IsMonotonic, all[counter].IsCumulative));
        Assert.Equal(("sum", false, "{request}"), (all["storageplugins.disk.active_requests"].Kind, all["storageplugins.disk.active_requests"].IsMonotonic, all["storageplugins.disk.active_requests"].Unit));
        Assert.Equal(("sum", "{disk}"), (all["storageplugins.disk.durability_lost"].Kind, all["storageplugins.disk.durability_lost"].Unit));
    }

    private static void RequireDurations(OtlpMetric durations, Dictionary<string, double> requests)
    {
        Assert.Equal(("histogram", "s", true), (durations.Kind, durations.Unit, durations.IsCumulative));
        Assert.All(durations.Points, point =>
        {
            Assert.Equal(22, point.Bounds.Count);
            Assert.Equal(23, point.Buckets.Count);
            Assert.Equal(point.Value, point.Buckets.Sum(count => (double)count));
            Assert.True(point.Sum > 0);
        });
        Dictionary<string, double> counts = ByKind(durations);
        // A forced write is a write and a flush to the counters, and one request that took so long.
        Assert.Equal((requests["read"], requests["write"], requests["discard"], requests["zero"]), (counts["read"], counts["write"], counts["discard"], counts["zero"]));
        Assert.InRange(counts["flush"], 1, requests["flush"]);
    }

    private static string LoadedOfOpenTelemetry(SphostProcess sphost) =>
        string.Join('\n', File.ReadLines($"/proc/{sphost.Id}/maps").Where(line => line.Contains("OpenTelemetry", StringComparison.Ordinal)));

    private JsonObject Stats() => JsonNode.Parse(Tool.Sphost("disk", "stats", "--control", PathOf("vm.qcow2.control"), "--json").Expect(0).Output)![0]!.AsObject();
}
