using System.CommandLine;
using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Evaluation;
using StoragePlugins.Host.Evaluation.Children;
using StoragePlugins.Host.Evaluation.Places;
using StoragePlugins.Host.Evaluation.Report;
using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Host.Evaluation.VirtualMachine;
using StoragePlugins.Host.Evaluation.Workloads;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost evaluate</c>: the evaluations of both papers on this machine, beside QEMU.</summary>
internal static class EvaluateCommand
{
    private const string SlowMedium = "slow";
    private const int MaxRounds = 100;

    private static readonly string[] s_defaultPipelines = [BuiltInPipelines.Qcow2Ordered, BuiltInPipelines.Qcow2Barrier, BuiltInPipelines.Qcow2Journal, BuiltInPipelines.Qcow2Pm, BuiltInPipelines.Raw];

    private static readonly Option<EvaluationScale> s_scale = new("--scale") { Description = "quick: everything in less than three minutes; standard: runs of seconds; paper: the papers' own sizes, hours.", HelpName = "quick|standard|paper" };
    private static readonly Option<string[]> s_places = Repeatable("--place", null, $"Where; can be repeated. By default everywhere: {string.Join(", ", PlaceCatalog.Names)}.");
    private static readonly Option<string[]> s_workloads = Repeatable("--workload", "-w", "A workload; can be repeated. By default all; a wrong name lists them.");
    private static readonly Option<string[]> s_pipelines = Repeatable("--pipeline", "-p", $"A pipeline to measure; can be repeated. By default {string.Join(", ", s_defaultPipelines)}.");
    private static readonly Option<int?> s_rounds = new("--rounds") { Description = "Times that everything is measured, in turn; by default 3, and 5 at scale standard.", HelpName = "N" };
    private static readonly Option<RegimeChoice> s_regime = new("--regime") { Description = "The device: as it is, with a simulated slow flush, or both, one after the other.", HelpName = "as-is|slow-flush|both", DefaultValueFactory = _ => RegimeChoice.Both, CustomParser = ParseRegime };
    private static readonly Option<string> s_slowFlush = new("--slow-flush") { Description = "How much longer a flush of the simulated device takes.", HelpName = "TIME", DefaultValueFactory = _ => "2ms" };
    private static readonly Option<string?> s_directory = new("--directory", "-d") { Description = "Where scratch images are made; by default the folder for temporary files.", HelpName = "DIR" };
    private static readonly Option<string?> s_report = new("--report") { Description = "Write a report as one HTML file.", HelpName = "FILE" };
    private static readonly Option<string?> s_json = new("--json") { Description = "Write everything as JSON to a file.", HelpName = "FILE" };
    private static readonly Option<bool> s_noReferences = new("--no-references") { Description = "Measure ours only, neither QEMU nor ext4 on a RAM disk." };
    private static readonly Option<string?> s_kernel = new("--kernel") { Description = $"The virtual machine's kernel; by default the newest of {GuestKernel.Package} that is installed.", HelpName = "FILE" };
    private static readonly Option<string?> s_accelerator = new("--accel") { Description = "How the virtual machine runs: software emulation, or KVM where that works.", HelpName = "tcg|kvm" };
    private static readonly Option<string?> s_cleanUp = new(Supervisor.CleanUpOption) { Description = "Take apart what is left of a run that was killed.", HelpName = "NAME", Hidden = true };

    private enum RegimeChoice
    {
        Both = 0,
        AsIs,
        SlowFlush,
    }

    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services)
    {
        var command = new Command("evaluate", "Re-run the evaluations of the papers on this machine, beside QEMU, and report.")
        {
            s_scale, s_places, s_workloads, s_pipelines, services.Config, s_rounds, s_regime, s_slowFlush, s_directory, s_report, s_json, s_noReferences, s_kernel, s_accelerator,
            s_cleanUp,
        };
        s_accelerator.AcceptOnlyFromAmong(GuestSystem.Emulation, GuestSystem.Kvm);
        command.SetAction(commandLine => Run(services, commandLine));
        return command;
    }

    private static int Run(HostServices services, ParseResult commandLine)
    {
        if (commandLine.GetValue(s_cleanUp) is { } abandoned) return CleanUp(abandoned);
        using HostSession session = services.Start(commandLine);
        session.RequireValidConfiguration();
        PipelineDefinition[] pipelines = PipelinesOf(commandLine, session.Configuration);
        TimeSpan slowFlush = SlowFlushOf(commandLine, session.Catalog);
        EvaluationPlan plan = PlanOf(commandLine, slowFlush);
        string[] placeNames = PlaceCatalog.RequireKnown(commandLine.GetValue(s_places)!, plan.Scale);
        PlaceCatalog.RequireKnownWorkloads(plan.WorkloadNames, plan.Scale);
        string? json = commandLine.GetValue(s_json), page = commandLine.GetValue(s_report);
        if (json is not null) ResultFile.RequireWritable(json, "--json");
        if (page is not null) ResultFile.RequireWritable(page, "--report");

        using var cancel = new SignalCancellation();
        foreach (string left in EvaluationScratch.Abandoned())
        {
            services.Logger.LogInformation("taking apart what is left of {Run}, which was killed", left);
            Leftovers.Remove(left);
        }

        using EvaluationScratch scratch = EvaluationScratch.Create(commandLine.GetValue(s_directory), Directory.Exists(PmPlacement.SharedMemory) ? PmPlacement.SharedMemory : null);
        using Supervisor supervisor = Supervisor.Watch(scratch);
        var notes = new NoteCollector();
        bool noReferences = commandLine.GetValue(s_noReferences);
        var context = new EvaluationContext
        {
            Composer = new PipelineComposer(session.Catalog, session.Configuration, notes),
            Scratch = scratch,
            Tools = QemuTools.Find(),
            Self = new OwnProgram([.. (commandLine.GetValue(services.Plugins) ?? []).Concat(session.Configuration.PluginDirectories).Select(Path.GetFullPath)], session.Configuration.AllowedPlugins),
            Notes = notes,
            SlowDevice = new StrategyUse(StrategyKind.Medium, SlowMedium, [OptionSetting.FromCommandLine("flush", Quantities.FormatDuration(slowFlush))], "--slow-flush", null),
            Scale = plan.Scale,
            Machine = new VirtualMachineOptions(commandLine.GetValue(s_kernel), commandLine.GetValue(s_accelerator)),
        };
        foreach (PipelineDefinition pipeline in pipelines)
        {
            foreach (string reason in PipelineValidator.UnsafeReasons(pipeline, session.Catalog)) notes.Add($"UNSAFE: {pipeline.Name}: {reason}");
        }

        Place[] places = PlaceCatalog.Create(context, PipelineContenders(pipelines, scratch.Memory), noReferences, placeNames);
        var evaluation = new EvaluationSession(context, plan, places, CommandText(commandLine));
        EvaluationReport report = evaluation.Run(services.Output, line => services.Logger.LogInformation("{Stage}", line), cancel.Token);
        if (json is not null) ResultFile.WriteJson(json, report);
        if (page is not null) ResultFile.Write(page, "--report", writer => EvaluationReportPage.Write(writer, report));
        if (report.IsInterrupted) throw new OperationCanceledException(cancel.Token);
        if (report.Rows.Count == 0) throw new DiagnosticException("SP4201", "nothing could be evaluated here", fix: "the notes above say why");
        return evaluation.HasFailures ? ExitCodes.Failed : ExitCodes.Done;
    }

    private static int CleanUp(string name)
    {
        if (!name.StartsWith(EvaluationScratch.Prefix, StringComparison.Ordinal) || name.Contains('/', StringComparison.Ordinal))
            throw new DiagnosticException("SP4200", "there is no run of that name", Supervisor.CleanUpOption, $"{EvaluationScratch.Prefix}…", $"'{name}'");
        if (EvaluationScratch.Abandoned().Contains(name)) Leftovers.Remove(name);
        return ExitCodes.Done;
    }

    // With a place in memory for journals that want persistent memory.
    private static IEnumerable<EvaluatedContender> PipelineContenders(PipelineDefinition[] pipelines, string? memory)
        => pipelines.Select(pipeline => new EvaluatedPipeline(PmPlacement.Place(pipeline, memory).First().Pipeline));

    private static PipelineDefinition[] PipelinesOf(ParseResult commandLine, HostConfiguration configuration)
    {
        string[] named = commandLine.GetValue(s_pipelines)!;
        return [.. (named.Length == 0 ? s_defaultPipelines : named.Distinct()).Select(configuration.Pipeline)];
    }

    private static EvaluationPlan PlanOf(ParseResult commandLine, TimeSpan slowFlush)
    {
        EvaluationScale scale = commandLine.GetValue(s_scale);
        int rounds = commandLine.GetValue(s_rounds) ?? (scale == EvaluationScale.Standard ? 5 : 3);
        if (rounds is < 1 or > MaxRounds) throw new DiagnosticException("SP4102", "the number is out of range", "--rounds", $"1 to {MaxRounds}", $"{rounds}");
        DeviceRegime[] regimes = commandLine.GetValue(s_regime) switch
        {
            RegimeChoice.AsIs => [DeviceRegime.AsIs],
            RegimeChoice.SlowFlush => [DeviceRegime.SlowFlush],
            _ => [DeviceRegime.AsIs, DeviceRegime.SlowFlush],
        };
        return new EvaluationPlan(scale, rounds, regimes, [.. commandLine.GetValue(s_workloads)!.Distinct()]) { SlowFlush = slowFlush };
    }

    private static TimeSpan SlowFlushOf(ParseResult commandLine, PluginCatalog catalog)
    {
        string text = commandLine.GetValue(s_slowFlush)!;
        if (!Quantities.TryParseDuration(text, out TimeSpan time) || time <= TimeSpan.Zero || time > TimeSpan.FromSeconds(1))
            throw new DiagnosticException("SP4102", "the time makes no sense", "--slow-flush", "up to 1s, such as 2ms or 500us", $"'{text}'");
        catalog.Require(StrategyKind.Medium, SlowMedium, "--slow-flush");
        return time;
    }

    private static RegimeChoice ParseRegime(System.CommandLine.Parsing.ArgumentResult result)
    {
        switch (result.Tokens.Count == 0 ? "both" : result.Tokens[0].Value)
        {
            case "both": return RegimeChoice.Both;
            case "as-is": return RegimeChoice.AsIs;
            case "slow-flush": return RegimeChoice.SlowFlush;
            default:
                result.AddError($"--regime takes as-is, slow-flush or both, not '{result.Tokens[0].Value}'.");
                return default;
        }
    }

    // As it was typed, but for files that it is written to.
    private static string CommandText(ParseResult commandLine) => "sphost " + string.Join(' ', commandLine.Tokens.Select(token => token.Value.Contains(' ', StringComparison.Ordinal) ? $"'{token.Value}'" : token.Value));

    private static Option<string[]> Repeatable(string name, string? alias, string description)
        => new(name, alias is null ? [] : [alias]) { Description = description, HelpName = "NAME", AllowMultipleArgumentsPerToken = false, DefaultValueFactory = _ => [] };
}
