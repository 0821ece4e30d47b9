using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Commands;
using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Exports.Nbd;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Serving;

namespace StoragePlugins.Host.Control;

/// <summary>Answers on the control socket of a running host, one client after the other.</summary>
/// <remarks>The socket has mode 0600: who may connect is whoever owns the host.</remarks>
internal sealed class ControlServer : IDisposable
{
    private readonly Socket _socket;
    private readonly ServedDisks _disks;
    private readonly HostSession _session;
    private readonly NbdServer _server;
    private readonly ILogger _logger;
    private readonly Thread _thread;
    private volatile bool _isStopping;

    private ControlServer(string path, Socket socket, ServedDisks disks, HostSession session, NbdServer server, ILogger logger)
    {
        (Path, _socket, _disks, _session, _server, _logger) = (path, socket, disks, session, server, logger);
        _thread = new Thread(Serve) { IsBackground = true, Name = "control" };
        _thread.Start();
    }

    /// <summary>The socket's path.</summary>
    public string Path { get; }

    /// <summary>Listens and answers.</summary>
    /// <exception cref="DiagnosticException">SP4001 to SP4005: there is no listening there.</exception>
    public static ControlServer Start(string path, ServedDisks disks, HostSession session, NbdServer server, ILogger logger) =>
        new(path, NbdListener.Listen(NbdListener.UnixSocket(path)), disks, session, server, logger);

    /// <summary>Ends it; a request under way is answered first. The socket's file is removed.</summary>
    public void Dispose()
    {
        _isStopping = true;
        _socket.Dispose();
        _thread.Join();
    }

    private void Serve()
    {
        while (!_isStopping)
        {
            Socket client;
            try
            {
                client = _socket.Accept();
            }
            catch (Exception ended) when (ended is SocketException or ObjectDisposedException)
            {
                if (_isStopping) return;
                // Out of descriptors, for example: it passes, and must not become a busy loop.
                Thread.Sleep(ControlProtocol.Patience / 50);
                continue;
            }

            using (client) Answer(client);
        }
    }

    private void Answer(Socket client)
    {
        try
        {
            ControlProtocol.WriteLine(client, Reply(ControlProtocol.ReadLine(client, ControlProtocol.Patience)));
        }
        catch (IOException gone)
        {
            _logger.LogWarning("SP4025: a client of the control socket was not answered: {Reason}", gone.Message);
        }
    }

    private JsonObject Reply(string line)
    {
        try
        {
            JsonObject request = JsonNode.Parse(line) as JsonObject ?? throw new JsonException("not an object");
            return Do((string?)request["command"] ?? "", request);
        }
        catch (DiagnosticException failure)
        {
            return Failure([Diagnostic.From(failure)]);
        }
        catch (InvalidConfigurationException several)
        {
            return Failure(several.Errors);
        }
        catch (Exception malformed) when (malformed is JsonException or InvalidOperationException or FormatException)
        {
            return Failure([Diagnostic.Error("SP4025", "the request makes no sense", found: malformed.Message)]);
        }
    }

    private JsonObject Do(string command, JsonObject request) => command switch
    {
        "list" => new JsonObject { ["ok"] = true, ["disks"] = new JsonArray([.. _disks.Served.Select(Describe)]) },
        "stats" => new JsonObject { ["ok"] = true, ["disks"] = new JsonArray([.. _disks.Served.Select(Count)]) },
        "plugins" => new JsonObject { ["ok"] = true, ["catalog"] = PluginReports.Catalog(_session.Catalog) },
        "add" => Add(request),
        "switch" => Switch((string?)request["disk"] ?? "", (string?)request["pipeline"] ?? ""),
        _ => throw new DiagnosticException("SP4025", "the request makes no sense", expected: "list, stats, plugins, add or switch", found: $"'{command}'"),
    };

    private JsonObject Add(JsonObject request)
    {
        string name = (string?)request["disk"] ?? "", image = (string?)request["image"] ?? "";
        if (name.Length is 0 or > ConfigurationReader.MaxNameLength || image.Length == 0) throw new DiagnosticException("SP4025", "the request makes no sense", expected: $"a name of 1 to {ConfigurationReader.MaxNameLength} characters, and an image");
        _session.ReloadPipelines();
        ServedImage served = _disks.Open(new DiskDefinition(name, image, (string?)request["pipeline"], (long?)request["size"], (bool?)request["readOnly"] ?? false, ""));
        _server.Add([.. served.Exports]);
        _logger.LogInformation("disk {Disk} is served: {Image}, pipeline {Pipeline}", name, image, served.Image.Pipeline.Name);
        return new JsonObject { ["ok"] = true, ["disk"] = Describe(served) };
    }

    private JsonObject Switch(string disk, string pipeline)
    {
        _session.ReloadPipelines();
        (string from, string to, TimeSpan pause) = _disks.Switch(disk, pipeline);
        return new JsonObject { ["ok"] = true, ["disk"] = disk, ["from"] = from, ["to"] = to, ["pauseMilliseconds"] = Math.Round(pause.TotalMilliseconds, 2) };
    }

    private static JsonNode Describe(ServedImage served)
    {
        PipelineDefinition pipeline = served.Image.Pipeline;
        return new JsonObject
        {
            ["name"] = ServedDisks.NameOf(served),
            ["image"] = System.IO.Path.GetFullPath(served.Definition.Image),
            ["size"] = served.Disk.Length,
            ["format"] = pipeline.Format.Id,
            ["journal"] = pipeline.Journal.Id,
            ["ordering"] = pipeline.Ordering.Id,
            ["pipeline"] = pipeline.Name,
            ["state"] = served.Disk.Poison is null ? served.Image.IsReadOnly ? "read-only" : "serving" : "durability lost",
            ["exports"] = new JsonArray([.. served.Exports.Select(export => (JsonNode)export.Name)]),
            ["unsafe"] = new JsonArray([.. served.Image.UnsafeReasons.Select(reason => (JsonNode)reason)]),
        };
    }

    private static JsonNode Count(ServedImage served)
    {
        MeterReading m = served.Disk.Meter.Read();
        var latency = new long[LatencyHistogram.CountsLength];
        foreach (NbdExport export in served.Exports) export.Disk.Latency.AddTo(latency);
        var bytes = new JsonObject();
        foreach (ContentClass content in Enum.GetValues<ContentClass>())
            if (m.HostBytesByClass[(int)content] > 0) bytes[JsonNamingPolicy.CamelCase.ConvertName(content.ToString())] = m.HostBytesByClass[(int)content];
        return new JsonObject
        {
            ["name"] = ServedDisks.NameOf(served),
            ["pipeline"] = served.Image.Pipeline.Name,
            ["guestReads"] = m.GuestReads,
            ["guestReadBytes"] = m.GuestReadBytes,
            ["guestWrites"] = m.GuestWrites,
            ["guestWrittenBytes"] = m.GuestWrittenBytes,
            ["guestFlushes"] = m.GuestFlushes,
            ["guestBarriers"] = m.GuestBarriers,
            ["hostFlushes"] = m.HostFlushes,
            ["barriers"] = m.Barriers,
            ["p50Microseconds"] = Math.Round(LatencyHistogram.Percentile(latency, 0.5).TotalMicroseconds, 1),
            ["p99Microseconds"] = Math.Round(LatencyHistogram.Percentile(latency, 0.99).TotalMicroseconds, 1),
            ["hostBytesWritten"] = bytes,
        };
    }

    private static JsonObject Failure(IEnumerable<Diagnostic> problems) => new()
    {
        ["ok"] = false,
        ["problems"] = new JsonArray([.. problems.Select(problem => (JsonNode)new JsonObject
        {
            ["code"] = problem.Code, ["what"] = problem.What, ["where"] = problem.Where, ["expected"] = problem.Expected, ["found"] = problem.Found, ["fix"] = problem.Fix,
        })]),
    };
}
