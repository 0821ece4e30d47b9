using System.Globalization;
using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.TraceFiles;
using StoragePlugins.Host.Commands;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.CrashTesting;

/// <summary>Explores a log in the format of dm-log-writes: one of QEMU's <c>blklogwrites</c>, of the medium <c>record</c>, or of the kernel.</summary>
internal sealed class TraceTest(HostSession session, CommandOutput output)
{
    /// <summary>Runs it.</summary>
    /// <param name="log">The log.</param>
    /// <param name="image">The image as it was before the log.</param>
    /// <param name="pipeline">Recovers each state before it is checked; null to check the states as they are.</param>
    /// <param name="settings">How.</param>
    /// <param name="json">Writes JSON to standard output in place of text.</param>
    /// <param name="cancel">Ends it early.</param>
    public bool Run(string log, string image, PipelineDefinition? pipeline, TraceExplorationSettings settings, bool json, CancellationToken cancel)
    {
        byte[] start = ReadImage(image);
        using DmLogWritesReader reader = DmLogWritesReader.Open(log);
        ImportedTrace imported = TraceImport.Read(reader);
        TraceExplorationReport report;
        string format;
        if (pipeline is not null)
        {
            format = pipeline.Format.Id;
            report = TraceExploration.Run(start, imported.Trace, new PipelineVariants(session.Catalog).Of(pipeline)[0], settings, cancel);
        }
        else
        {
            format = session.Composer.Inspect(image).Format;
            (IBlockFormat strategy, _) = session.Composer.Format(format);
            report = TraceExploration.Run(start, imported.Trace, new Tested<IBlockFormat>(format, strategy), settings, cancel);
        }

        if (json) output.WriteJson(ToJson(report, settings));
        else Write(report, log, format, settings);
        return report.Broken.Count == 0;
    }

    private static byte[] ReadImage(string image)
    {
        try
        {
            return File.ReadAllBytes(image);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new DiagnosticException("SP5001", "the file cannot be opened", image, found: failure.Message.TrimEnd('.'), fix: "name the image as it was before the log with --image", inner: failure);
        }
    }

    private void Write(TraceExplorationReport report, string log, string format, TraceExplorationSettings settings)
    {
        output.WriteFacts(
        [
            ("log", $"{log}: {report.Events} entries, {report.Flushes} flushes{(settings.IgnoresFlushes ? ", ignored" : "")}"),
            ("format", format),
            ("states", string.Create(CultureInfo.InvariantCulture, $"{report.States:N0}, {report.DistinctStates:N0} distinct, {report.StatesPerSecond:N0} judged a second")),
            ("clean", $"{report.CleanStates}"),
            ("leaks only", $"{report.LeakingStates}"),
            ("broken", $"{report.Broken.Count}"),
        ]);
        foreach (BrokenTraceState broken in report.Broken)
        {
            output.WriteLine();
            output.WriteLine($"{broken.Invariant.Number()}: {broken.Invariant.Meaning()}");
            output.WriteLine($"  {broken.Problem}");
            output.WriteLine($"  power cut after {broken.After}");
            foreach (string lost in broken.Lost) output.WriteLine($"  lost       {lost}");
            foreach (string kept in broken.Kept) output.WriteLine($"  persisted  {kept}");
        }
    }

    private static object ToJson(TraceExplorationReport report, TraceExplorationSettings settings) => new
    {
        settings.Seed,
        report.Events,
        report.Flushes,
        report.States,
        report.DistinctStates,
        report.JudgedStates,
        Clean = report.CleanStates,
        LeaksOnly = report.LeakingStates,
        Failures = report.Broken.Count,
        StatesPerSecond = Math.Round(report.StatesPerSecond, 1),
        Stories = report.Broken.Select(broken => new { Invariant = broken.Invariant.Number(), broken.Problem, broken.After, broken.Lost, broken.Kept }),
    };
}
