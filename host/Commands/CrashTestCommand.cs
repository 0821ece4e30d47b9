using System.CommandLine;
using System.Globalization;
using Microsoft.Extensions.Logging;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Stories;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.TraceFiles;
using StoragePlugins.CrashKit.Trees;
using StoragePlugins.Host.CrashTesting;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost crash-test</c>: explores the states that power cuts can leave, and checks each.</summary>
internal static class CrashTestCommand
{
    private const string StandardOutput = "-";

    private static readonly Option<string[]> s_pipelines = new("--pipeline", "-p") { Description = "A pipeline to test; can be repeated. By default all that can be used here.", HelpName = "NAME", DefaultValueFactory = _ => [] };
    private static readonly Option<PersistenceModel?> s_model = new("--model") { Description = "What a power cut may leave; by default each that applies to the pipeline.", HelpName = "disk|barrier|pm" };
    private static readonly Option<string> s_budget = new("--budget") { Description = "Time for each pipeline and model.", HelpName = "TIME", DefaultValueFactory = _ => "60s" };
    private static readonly Option<long?> s_states = new("--states") { Description = "End earlier, after so many distinct states of each pipeline and model.", HelpName = "N" };
    private static readonly Option<int> s_seed = new("--seed") { Description = "The same seed gives the same workloads.", HelpName = "N", DefaultValueFactory = _ => 1 };
    private static readonly Option<int> s_stopAfter = new("--stop-after") { Description = "Failures after which a test ends.", HelpName = "N", DefaultValueFactory = _ => 1 };
    private static readonly Option<int> s_workers = new("--workers") { Description = "Workloads explored at once; by default one a processor.", HelpName = "N", DefaultValueFactory = _ => Environment.ProcessorCount };
    private static readonly Option<string?> s_replay = new("--replay") { Description = "Repeat a failure from the file that crash-test wrote about it, with the pipeline as it is now.", HelpName = "FILE" };
    private static readonly Option<string> s_failures = new("--failures") { Description = "Folder for the files about failures, which --replay takes; by default here.", HelpName = "DIR", DefaultValueFactory = _ => "." };
    private static readonly Option<string?> s_trace = new("--trace") { Description = "Explore a log in the format of dm-log-writes (QEMU's blklogwrites, the medium 'record') instead; needs --image.", HelpName = "LOG" };
    private static readonly Option<string?> s_image = new("--image") { Description = "The image as it was before the log.", HelpName = "FILE" };
    private static readonly Option<bool> s_ignoreFlushes = new("--ignore-flushes") { Description = "With --trace: as if the device had ignored every flush; corruption must then be found." };
    private static readonly Option<string?> s_json = new("--json") { Description = "Write the figures as JSON to a file; '-' for standard output, instead of the table.", HelpName = "FILE" };

    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services)
    {
        var command = new Command("crash-test", "Cut the power at every moment of many workloads, in memory, and check what each cut can leave.")
        {
            s_pipelines, services.Config, s_model, s_budget, s_states, s_seed, s_stopAfter, s_workers, s_failures, s_replay, s_trace, s_image, s_ignoreFlushes, s_json,
        };
        command.SetAction(commandLine => Run(services, commandLine));
        return command;
    }

    private static int Run(HostServices services, ParseResult commandLine)
    {
        using HostSession session = services.Start(commandLine);
        session.RequireValidConfiguration();
        CrashTestSettings settings = SettingsOf(commandLine);
        string? json = commandLine.GetValue(s_json);
        if (json is not null and not StandardOutput) ResultFile.RequireWritable(json, "--json");
        if (commandLine.GetValue(s_replay) is { } replay) return RunReplay(services, session, replay);
        if (commandLine.GetValue(s_trace) is { } log) return RunTrace(services, session, commandLine, settings, log);
        string[] named = commandLine.GetValue(s_pipelines)!;
        PipelineDefinition[] pipelines = named.Length == 0 ? [.. session.Configuration.Pipelines] : [.. named.Distinct().Select(session.Configuration.Pipeline)];

        using var cancel = new SignalCancellation();
        DirectoryInfo scratch = Directory.CreateTempSubdirectory("sphost-crash-");
        try
        {
            var reports = new List<CrashTestReport>();
            foreach (PipelineDefinition pipeline in pipelines)
            {
                if (cancel.Token.IsCancellationRequested) break;
                reports.AddRange(Test(services, session, commandLine, pipeline, settings, scratch.FullName, isAlone: named.Length > 0, cancel.Token));
            }

            IReadOnlyList<FailureStory> stories = [.. reports.SelectMany(report => report.Failures).Select(failure => FailureStory.Tell(
                failure, commandLine.GetValue(s_failures)!, commandLine.GetValue(services.Config), QemuImgReader.Find(scratch.FullName), line => services.Logger.LogInformation("{Line}", line), cancel.Token)),
                .. reports.SelectMany(report => report.TreeFailures).Select(FailureStory.Tell)];
            var summary = new CrashTestSummary(settings.Seed, reports, stories, cancel.Token.IsCancellationRequested);
            if (json == StandardOutput) services.Output.WriteJson(summary.ToJson());
            else CrashTestTable.Write(reports, stories, services.Output);
            if (json is not null and not StandardOutput) ResultFile.WriteJson(json, summary.ToJson());
            return summary.Failures == 0 && !cancel.Token.IsCancellationRequested ? ExitCodes.Done : ExitCodes.Failed;
        }
        finally
        {
            scratch.Delete(recursive: true);
        }
    }

    private static int RunReplay(HostServices services, HostSession session, string path)
    {
        ReplayFile file = ReplayFile.Load(path);
        TestedPipeline pipeline = new PipelineVariants(session.Catalog).Of(session.Configuration.Pipeline(file.Pipeline), file.Variant);
        ReplayVerdict verdict = Replay.Run(pipeline, file);
        services.Output.WriteLine(verdict.Text);
        if (verdict.Failure is { } failure)
        {
            services.Output.WriteLine();
            foreach (string line in Story.Of(failure, replayFile: path).ToLines()) services.Output.WriteLine(line);
        }

        return verdict.StillFails ? ExitCodes.Failed : ExitCodes.Done;
    }

    private static int RunTrace(HostServices services, HostSession session, ParseResult commandLine, CrashTestSettings settings, string log)
    {
        string image = commandLine.GetValue(s_image)
            ?? throw new DiagnosticException("SP6003", "a log says nothing about what was there before it", "--trace", "--image FILE beside it", "none", "name a copy of the image as it was before the log");
        string[] named = commandLine.GetValue(s_pipelines)!;
        if (named.Length > 1) throw new DiagnosticException("SP6003", "a log is explored with one pipeline", "--pipeline", "at most one", $"{named.Length}");
        using var cancel = new SignalCancellation();
        var exploration = new TraceExplorationSettings
        {
            Model = commandLine.GetValue(s_model) ?? PersistenceModel.Disk,
            IgnoresFlushes = commandLine.GetValue(s_ignoreFlushes),
            Seed = settings.Seed,
            Budget = settings.Budget,
            MaxDistinctStates = settings.MaxDistinctStates,
            StopAfter = settings.StopAfter,
        };
        bool isSound = new TraceTest(session, services.Output).Run(
            log, image, named.Length == 0 ? null : session.Configuration.Pipeline(named[0]), exploration, commandLine.GetValue(s_json) == StandardOutput, cancel.Token);
        return isSound && !cancel.Token.IsCancellationRequested ? ExitCodes.Done : ExitCodes.Failed;
    }

    private static IEnumerable<CrashTestReport> Test(
        HostServices services, HostSession session, ParseResult commandLine, PipelineDefinition pipeline, CrashTestSettings settings, string scratch, bool isAlone, CancellationToken cancel)
    {
        IReadOnlyList<TestedPipeline> variants;
        IReadOnlyList<TestedPipeline> trees;
        IReadOnlyList<PersistenceModel> models;
        try
        {
            variants = new PipelineVariants(session.Catalog).Of(pipeline);
            trees = TreeVariants(variants);
            models = commandLine.GetValue(s_model) is { } model ? [model] : trees.Count > 0 ? [PersistenceModel.Pm] : CrashTest.ModelsFor(variants[0]);
            if (trees.Count > 0 && models is not [PersistenceModel.Pm])
                throw new DiagnosticException("SP6003", "a tree of files in mapped memory is tested under one model", "--model", "pm", CrashTestTable.NameOf(models[0]), $"leave --model out for {pipeline.Name}");
        }
        catch (DiagnosticException unusable) when (!isAlone)
        {
            services.Logger.LogWarning("left out: {Pipeline}: {Reason}", pipeline.Name, unusable.Message);
            yield break;
        }

        foreach (string reason in PipelineValidator.UnsafeReasons(pipeline, session.Catalog)) services.Logger.LogWarning("UNSAFE: {Pipeline}: {Reason}", pipeline.Name, reason);
        foreach (PersistenceModel model in models)
        {
            if (cancel.IsCancellationRequested) yield break;
            // Only qcow2 has a reader other than ours here.
            CrashTestSettings own = settings with { Model = model, Foreign = pipeline.Format.Id == "qcow2" ? QemuImgReader.Find(scratch) : null };
            ICrashTestRun test = trees.Count > 0 ? new TreeCrashTest(trees, own) : new CrashTest(variants, own);
            yield return CrashTestProgress.Show(test, own, services.Output.IsTerminal, line => services.Logger.LogInformation("{Line}", line), cancel);
        }
    }

    // The variants over an image in memory, where that is a tree of files; none otherwise.
    private static IReadOnlyList<TestedPipeline> TreeVariants(IReadOnlyList<TestedPipeline> variants) =>
        TreeCrashTest.Of(variants[0]) is null ? [] : [.. variants.Select(TreeCrashTest.Of).OfType<TestedPipeline>()];

    private static CrashTestSettings SettingsOf(ParseResult commandLine)
    {
        string text = commandLine.GetValue(s_budget)!;
        if (!Quantities.TryParseDuration(text, out TimeSpan budget) || budget <= TimeSpan.Zero || budget > TimeSpan.FromDays(7))
            throw new DiagnosticException("SP6001", "the time makes no sense", "--budget", "up to 168h, such as 60s or 8h", $"'{text}'");
        return new CrashTestSettings
        {
            Budget = budget,
            Seed = commandLine.GetValue(s_seed),
            MaxDistinctStates = AtLeastOne(commandLine.GetValue(s_states) ?? long.MaxValue, "--states"),
            StopAfter = (int)AtLeastOne(commandLine.GetValue(s_stopAfter), "--stop-after"),
            Workers = (int)Math.Min(AtLeastOne(commandLine.GetValue(s_workers), "--workers"), 256),
        };
    }

    private static long AtLeastOne(long value, string option) => value >= 1
        ? value
        : throw new DiagnosticException("SP6001", "the number is out of range", option, "1 or more", value.ToString(CultureInfo.InvariantCulture));
}
