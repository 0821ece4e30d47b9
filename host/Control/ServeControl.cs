using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Commands;
using StoragePlugins.Host.Exports.Nbd;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Serving;
using StoragePlugins.Host.Telemetry;

namespace StoragePlugins.Host.Control;

/// <summary>What <c>sphost serve</c> does when it is asked over its control socket.</summary>
internal sealed class ServeControl(ServedDisks disks, HostSession session, NbdServer server, ILogger logger)
{
    /// <summary>Does what a request asks for.</summary>
    public JsonObject Answer(string command, JsonObject request) => command switch
    {
        "list" => new JsonObject { ["ok"] = true, ["disks"] = new JsonArray([.. disks.Served.Select(Describe)]) },
        "stats" => new JsonObject { ["ok"] = true, ["disks"] = new JsonArray([.. disks.Served.Select(DiskStatistics.Describe)]) },
        "plugins" => new JsonObject { ["ok"] = true, ["catalog"] = PluginReports.Catalog(session.Catalog) },
        "add" => Add(request),
        "switch" => Switch((string?)request["disk"] ?? "", (string?)request["pipeline"] ?? ""),
        _ => throw new DiagnosticException("SP4025", "the request makes no sense", expected: "list, stats, plugins, add or switch", found: $"'{command}'"),
    };

    private JsonObject Add(JsonObject request)
    {
        string name = (string?)request["disk"] ?? "", image = (string?)request["image"] ?? "";
        if (name.Length is 0 or > ConfigurationReader.MaxNameLength || image.Length == 0) throw new DiagnosticException("SP4025", "the request makes no sense", expected: $"a name of 1 to {ConfigurationReader.MaxNameLength} characters, and an image");
        session.ReloadPipelines();
        ServedImage served = disks.Open(new DiskDefinition(name, image, (string?)request["pipeline"], (long?)request["size"], (bool?)request["readOnly"] ?? false, ""));
        server.Add([.. served.Exports]);
        logger.LogInformation("disk {Disk} is served: {Image}, pipeline {Pipeline}", name, image, served.Image.Pipeline.Name);
        return new JsonObject { ["ok"] = true, ["disk"] = Describe(served) };
    }

    private JsonObject Switch(string disk, string pipeline)
    {
        session.ReloadPipelines();
        (string from, string to, TimeSpan pause) = disks.Switch(disk, pipeline);
        return new JsonObject { ["ok"] = true, ["disk"] = disk, ["from"] = from, ["to"] = to, ["pauseMilliseconds"] = Math.Round(pause.TotalMilliseconds, 2) };
    }

    private static JsonNode Describe(ServedImage served)
    {
        PipelineDefinition pipeline = served.Image.Pipeline;
        return new JsonObject
        {
            ["name"] = served.Name,
            ["image"] = System.IO.Path.GetFullPath(served.Definition.Image),
            ["size"] = served.Disk.Length,
            ["format"] = pipeline.Format.Id,
            ["journal"] = pipeline.Journal.Id,
            ["ordering"] = pipeline.Ordering.Id,
            ["pipeline"] = pipeline.Name,
            ["state"] = DiskStatistics.NameOf(served.State),
            ["exports"] = new JsonArray([.. served.Exports.Select(export => (JsonNode)export.Name)]),
            ["unsafe"] = new JsonArray([.. served.Image.UnsafeReasons.Select(reason => (JsonNode)reason)]),
        };
    }
}
