using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using StoragePlugins.Host.Control;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost disk list|add|switch|stats|plugins</c>: asks a running host about its disks, or moves one to another pipeline.</summary>
internal static class DiskCommand
{
    private static readonly Option<string?> s_control = new("--control") { Description = $"The host's control socket; by default the only *{ControlClient.Suffix} of this folder.", HelpName = "PATH" };

    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services) => new("disk", "Ask a running 'sphost serve' about its disks, or move one to another pipeline.")
    {
        CreateList(services),
        CreateAdd(services),
        CreateSwitch(services),
        CreateStats(services),
        CreatePlugins(services),
    };

    private static Command CreateList(HostServices services)
    {
        var command = new Command("list", "List the disks that a running host serves.") { s_control, services.Json };
        command.SetAction(commandLine =>
        {
            JsonArray disks = Ask(commandLine, new JsonObject { ["command"] = "list" })["disks"]!.AsArray();
            if (commandLine.GetValue(services.Json)) services.Output.WriteJson(disks);
            else services.Output.WriteTable(["NAME", "SIZE", "FORMAT", "PIPELINE", "STATE", "IMAGE"], disks.Select(disk => Row(disk!.AsObject())));
            return ExitCodes.Done;
        });
        return command;
    }

    private static Command CreateAdd(HostServices services)
    {
        var name = new Argument<string>("NAME") { Description = "The export's name." };
        var image = new Argument<string>("IMAGE") { Description = "The image." };
        var pipeline = new Option<string?>("--pipeline", "-p") { Description = "The pipeline; by default the one for the image's format.", HelpName = "NAME" };
        var size = new Option<string?>("--size") { Description = "Make the image with this size when it is missing (10G).", HelpName = "SIZE" };
        var readOnly = new Option<bool>("--read-only", "-r") { Description = "Serve for reading only." };
        var command = new Command("add", "Serve a further disk. Pipelines that the host's configuration has gained since it started are known.") { name, image, pipeline, size, readOnly, s_control, services.Json };
        command.SetAction(commandLine =>
        {
            long? bytes = null;
            if (commandLine.GetValue(size) is { } text)
                bytes = Quantities.TryParseSize(text, out long parsed) ? parsed : throw new DiagnosticException("SP4010", "the size makes no sense", "--size", "a number with a suffix such as 512M or 10G", $"'{text}'");
            JsonObject reply = Ask(commandLine, new JsonObject
            {
                ["command"] = "add", ["disk"] = commandLine.GetValue(name), ["image"] = Path.GetFullPath(commandLine.GetValue(image)!), ["pipeline"] = commandLine.GetValue(pipeline),
                ["size"] = bytes, ["readOnly"] = commandLine.GetValue(readOnly),
            });
            if (commandLine.GetValue(services.Json)) services.Output.WriteJson(reply["disk"]!);
            else services.Output.WriteTable(["NAME", "SIZE", "FORMAT", "PIPELINE", "STATE", "IMAGE"], [Row(reply["disk"]!.AsObject())]);
            return ExitCodes.Done;
        });
        return command;
    }

    private static Command CreatePlugins(HostServices services)
    {
        var command = new Command("plugins", "List the plugins that a running host knows, those included that appeared since it started.") { s_control, services.Json };
        command.SetAction(commandLine =>
        {
            JsonObject catalog = Ask(commandLine, new JsonObject { ["command"] = "plugins" })["catalog"]!.AsObject();
            if (commandLine.GetValue(services.Json)) services.Output.WriteJson(catalog);
            else services.Output.WriteTable(["PLUGIN", "VERSION", "STATE", "STRATEGIES", "PATH"], catalog["plugins"]!.AsArray().Select(plugin => Plugin(plugin!.AsObject())));
            return ExitCodes.Done;
        });
        return command;
    }

    private static Cell[] Plugin(JsonObject plugin) =>
    [
        (string?)plugin["name"] ?? "", (string?)plugin["version"] ?? "", (string?)plugin["state"] ?? "",
        string.Join(", ", (plugin["strategies"]?.AsArray() ?? []).Select(strategy => $"{strategy!["kind"]} {strategy["id"]}")), (string?)plugin["path"] ?? "",
    ];

    private static Command CreateSwitch(HostServices services)
    {
        var name = new Argument<string>("NAME") { Description = "The disk." };
        var pipeline = new Option<string>("--pipeline", "-p") { Description = "The pipeline, for the same format.", HelpName = "NAME", Required = true };
        var command = new Command("switch", "Move a live disk to another pipeline; its clients stay connected and wait for a moment.") { name, pipeline, s_control, services.Json };
        command.SetAction(commandLine =>
        {
            JsonObject reply = Ask(commandLine, new JsonObject { ["command"] = "switch", ["disk"] = commandLine.GetValue(name), ["pipeline"] = commandLine.GetValue(pipeline) });
            if (commandLine.GetValue(services.Json)) services.Output.WriteJson(reply);
            else services.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{reply["disk"]}: {reply["from"]} → {reply["to"]}, clients waited {(double)reply["pauseMilliseconds"]!:0.0} ms"));
            return ExitCodes.Done;
        });
        return command;
    }

    private static Command CreateStats(HostServices services)
    {
        var command = new Command("stats", "Say what guests asked for and what it cost the host, since the host started.") { s_control, services.Json };
        command.SetAction(commandLine =>
        {
            JsonArray disks = Ask(commandLine, new JsonObject { ["command"] = "stats" })["disks"]!.AsArray();
            if (commandLine.GetValue(services.Json)) services.Output.WriteJson(disks);
            else services.Output.WriteTable(
                ["NAME", "PIPELINE", "READS", "READ", "WRITES", "WRITTEN", "GUEST FLUSHES", "GUEST BARRIERS", "HOST FLUSHES", "BARRIERS", "P50 µs", "P99 µs"], disks.Select(disk => Counts(disk!.AsObject())));
            return ExitCodes.Done;
        });
        return command;
    }

    private static JsonObject Ask(ParseResult commandLine, JsonObject request) => ControlClient.Ask(ControlClient.Locate(commandLine.GetValue(s_control)), request);

    private static Cell[] Row(JsonObject disk)
    {
        string state = (string)disk["state"]!;
        bool isUnsafe = disk["unsafe"]!.AsArray().Count > 0;
        return
        [
            (string)disk["name"]!, Quantities.FormatSize((long)disk["size"]!), (string)disk["format"]!, new Cell((string)disk["pipeline"]! + (isUnsafe ? " (UNSAFE)" : ""), isUnsafe ? Cell.Caution : null),
            new Cell(state, state == "durability lost" ? Cell.Bad : Cell.Good), (string)disk["image"]!,
        ];
    }

    private static Cell[] Counts(JsonObject disk) =>
    [
        (string)disk["name"]!, (string)disk["pipeline"]!, Number(disk, "guestReads"), Bytes(disk, "guestReadBytes"), Number(disk, "guestWrites"), Bytes(disk, "guestWrittenBytes"),
        Number(disk, "guestFlushes"), Number(disk, "guestBarriers"), Number(disk, "hostFlushes"), Number(disk, "barriers"), Number(disk, "p50Microseconds"), Number(disk, "p99Microseconds"),
    ];

    private static string Number(JsonObject disk, string key) => ((double)disk[key]!).ToString("#,0.#", CultureInfo.InvariantCulture);

    private static string Bytes(JsonObject disk, string key) => Quantities.FormatSize((long)disk[key]!);
}
