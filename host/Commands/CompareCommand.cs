using System.CommandLine;
using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost compare</c>: what pipelines cost, beside QEMU, in one interleaved run.</summary>
internal static class CompareCommand
{
    private const string StandardOutput = "-";
    private const string SlowMedium = "slow";
    private const int MaxRounds = 1000;
    private const int MaxOperations = 100_000;

    private static readonly Option<string[]> s_pipelines = Repeatable("--pipeline", "-p", "A pipeline to measure; can be repeated. By default all that can be used here.");
    private static readonly Option<string[]> s_workloads = Repeatable("--workload", "-w", $"A workload; can be repeated. By default all: {string.Join(", ", Workload.All.Select(workload => workload.Name))}.");
    private static readonly Option<int> s_rounds = new("--rounds") { Description = "Times that everything is measured, in turn.", HelpName = "N", DefaultValueFactory = _ => 5 };
    private static readonly Option<int> s_operations = new("--operations") { Description = "Operations of a run: one write and one flush each.", HelpName = "N", DefaultValueFactory = _ => 500 };
    private static readonly Option<string?> s_directory = new("--directory", "-d") { Description = "Where scratch images are made; by default the folder for temporary files.", HelpName = "DIR" };
    private static readonly Option<string> s_size = new("--size") { Description = "Size of the disks; they are sparse.", HelpName = "SIZE", DefaultValueFactory = _ => "20G" };
    private static readonly Option<string?> s_slowFlush = new("--slow-flush") { Description = "Put a simulated device under everything, QEMU included, whose flushes take so much longer (2ms).", HelpName = "TIME" };
    private static readonly Option<string?> s_json = new("--json") { Description = "Write the figures as JSON to a file; '-' for standard output, instead of the table.", HelpName = "FILE" };
    private static readonly Option<string?> s_pm = new("--pm") { Description = $"Where persistent memory is, for journals that want it: a folder on DAX, or in memory, which stands in for it; by default {PmPlacement.SharedMemory}.", HelpName = "DIR" };
    private static readonly Option<bool> s_noReferences = new("--no-references") { Description = "Measure the pipelines only, not qemu-nbd." };

    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services)
    {
        var command = new Command("compare", "Measure what pipelines cost under workloads of write and flush, beside qemu-nbd where it is installed.")
        {
            s_pipelines, s_workloads, services.Config, s_rounds, s_operations, s_directory, s_size, s_slowFlush, s_pm, s_json, s_noReferences,
        };
        command.SetAction(commandLine => Run(services, commandLine));
        return command;
    }

    private static int Run(HostServices services, ParseResult commandLine)
    {
        using HostSession session = services.Start(commandLine);
        session.RequireValidConfiguration();
        ComparisonPlan plan = PlanOf(commandLine);
        TimeSpan slowFlush = SlowFlushOf(commandLine, session.Catalog);
        string? json = commandLine.GetValue(s_json);
        if (json is not null and not StandardOutput) ResultFile.RequireWritable(json, "--json");
        string[] named = commandLine.GetValue(s_pipelines)!;
        PipelineDefinition[] pipelines = named.Length == 0 ? [.. session.Configuration.Pipelines] : [.. named.Distinct().Select(session.Configuration.Pipeline)];

        using var cancel = new SignalCancellation();
        using var scratch = ScratchFolders.Create(commandLine.GetValue(s_directory), PmPlacement.DirectoryFor(pipelines, commandLine.GetValue(s_pm)));
        var notes = new NoteCollector();
        foreach (PipelineDefinition pipeline in pipelines)
        {
            foreach (string reason in PipelineValidator.UnsafeReasons(pipeline, session.Catalog)) notes.Add($"UNSAFE: {pipeline.Name}: {reason}");
        }

        QemuTools tools = commandLine.GetValue(s_noReferences) ? QemuTools.Find() with { Nbd = null } : QemuTools.Find();
        StrategyUse? device = slowFlush == TimeSpan.Zero ? null : new StrategyUse(
            StrategyKind.Medium, SlowMedium, [OptionSetting.FromCommandLine("flush", Quantities.FormatDuration(slowFlush))], "--slow-flush", null);
        var composer = new PipelineComposer(session.Catalog, session.Configuration, notes);
        List<Contender> contenders = References(commandLine, composer, device, tools, notes);
        // An image in persistent memory does not stand on the slow device.
        contenders.AddRange(pipelines.SelectMany(pipeline => PmPlacement.Place(pipeline, scratch.Pm)).Where(placed => device is null || placed.Folder is null)
            .Select(placed => new PipelineContender(composer, placed.Pipeline, device, tools, notes, placed.Folder)));

        DateTimeOffset started = DateTimeOffset.UtcNow;
        HostFacts facts = HostFacts.Of(scratch.Images);
        if (facts.FileSystem is "tmpfs" or "ramfs")
            notes.Add($"SP4105: {scratch.Images} is in memory: flushes cost nothing there; name a folder on a disk with --directory");
        IReadOnlyList<Measurement> measurements = ComparisonProgress.Show(
            ComparisonRun.Steps(plan, contenders.Count), services.Output.IsTerminal, line => services.Logger.LogInformation("{Stage}", line),
            progress => new ComparisonRun(plan, scratch.Images, scratch.Sockets, notes.Add, progress, cancel.Token).Run(contenders, contender => !contender.IsReference && named.Length > 0));

        var report = new ComparisonReport
        {
            Versions = Versions(tools, commandLine.GetValue(s_noReferences)),
            Started = started,
            Host = facts,
            Settings = new ComparisonSettings(plan.Rounds, plan.Operations, plan.DiskBytes, slowFlush.TotalMicroseconds),
            Notes = notes.Notes,
            Rows = ComparisonReport.RowsOf(measurements),
        };
        if (json == StandardOutput) services.Output.WriteJson(report);
        else ComparisonTable.Write(report, plan.Workloads, services.Output);
        if (json is not null and not StandardOutput) ResultFile.WriteJson(json, report);
        return ExitCodes.Done;
    }

    private static List<Contender> References(ParseResult commandLine, PipelineComposer composer, StrategyUse? device, QemuTools tools, NoteCollector notes)
    {
        if (commandLine.GetValue(s_noReferences)) return [];
        if (tools.Nbd is not null && tools.Img is not null)
            return [.. Enum.GetValues<QemuKind>().Select(kind => new QemuContender(kind, composer, device, tools, notes))];
        notes.Add($"left out: all references: {(tools.Nbd is null ? "qemu-nbd" : "qemu-img")} is not installed");
        return [];
    }

    private static ComparisonPlan PlanOf(ParseResult commandLine)
    {
        int rounds = InRange(commandLine.GetValue(s_rounds), MaxRounds, "--rounds");
        int operations = InRange(commandLine.GetValue(s_operations), MaxOperations, "--operations");
        string text = commandLine.GetValue(s_size)!;
        // Random writes choose distinct clusters: with four to choose from for each they are found at once.
        long least = Math.Max(Workload.TableBytes, 4 * Workload.AreaBytes(operations));
        if (!Quantities.TryParseSize(text, out long size) || size < least)
            throw new DiagnosticException("SP4102", "the size makes no sense", "--size", $"at least {Quantities.FormatSize(least)} for {operations} operations", $"'{text}'");
        string[] names = commandLine.GetValue(s_workloads)!;
        Workload[] workloads = names.Length == 0 ? [.. Workload.All] : [.. names.Distinct().Select(WorkloadOf)];
        return new ComparisonPlan(workloads, rounds, operations, size / Workload.TableBytes * Workload.TableBytes);
    }

    private static Workload WorkloadOf(string name) => Workload.All.FirstOrDefault(workload => workload.Name == name)
        ?? throw new DiagnosticException("SP4101", $"there is no workload '{name}'", "--workload", fix: Spelling.Suggest(name, [.. Workload.All.Select(workload => workload.Name)]));

    private static int InRange(int value, int most, string option) => value >= 1 && value <= most
        ? value
        : throw new DiagnosticException("SP4102", "the number is out of range", option, $"1 to {most}", $"{value}");

    private static TimeSpan SlowFlushOf(ParseResult commandLine, PluginCatalog catalog)
    {
        if (commandLine.GetValue(s_slowFlush) is not { } text) return TimeSpan.Zero;
        if (!Quantities.TryParseDuration(text, out TimeSpan time) || time <= TimeSpan.Zero || time > TimeSpan.FromSeconds(1))
            throw new DiagnosticException("SP4102", "the time makes no sense", "--slow-flush", "up to 1s, such as 2ms or 500us", $"'{text}'");
        catalog.Require(StrategyKind.Medium, SlowMedium, "--slow-flush");
        return time;
    }

    private static SortedDictionary<string, string> Versions(QemuTools tools, bool noReferences)
    {
        var versions = new SortedDictionary<string, string>(StringComparer.Ordinal) { ["sphost"] = HostCommandLine.Version, ["dotnet"] = Environment.Version.ToString() };
        if (!noReferences && tools.Version()?.Split(' ') is [_, { } version, ..]) versions["qemu-nbd"] = version;
        return versions;
    }

    // A second signal ends the process at once; then scratch files stay behind.
    private static Option<string[]> Repeatable(string name, string alias, string description)
        => new(name, alias) { Description = description, HelpName = "NAME", AllowMultipleArgumentsPerToken = false, DefaultValueFactory = _ => [] };
}
