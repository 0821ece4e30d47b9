using System.Globalization;
using StoragePlugins.CrashKit.Faults;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.Host.Commands;

namespace StoragePlugins.Host.CrashTesting;

/// <summary>The result of crash tests for people.</summary>
internal static class CrashTestTable
{
    /// <summary>A line a test; then what broke.</summary>
    public static void Write(IReadOnlyList<CrashTestReport> reports, IReadOnlyList<FailureStory> stories, CommandOutput output)
    {
        output.WriteTable(
            ["pipeline", "model", "workloads", "states", "distinct", "judged", "per second", "time", "failures"],
            reports.Select(report => (IReadOnlyList<Cell>)
            [
                report.Pipeline, NameOf(report.Model), Number(report.Workloads), Number(report.States), Number(report.DistinctStates), Number(report.JudgedStates),
                Number((long)report.StatesPerSecond), string.Create(CultureInfo.InvariantCulture, $"{report.Elapsed.TotalSeconds:0.0}s"),
                new Cell(Number(report.FailureCount), report.FailureCount == 0 ? Cell.Good : Cell.Bad),
            ]));
        WriteFaults(reports, output);
        foreach (FailureStory story in stories)
        {
            output.WriteLine();
            foreach (string line in story.Story.ToLines()) output.WriteLine(line);
        }
    }

    // One test: by the kind of error. Several: what became of errors in each.
    private static void WriteFaults(IReadOnlyList<CrashTestReport> reports, CommandOutput output)
    {
        (string Label, IReadOnlyList<FaultCount> Counts)[] rows = reports.Count == 1
            ? [.. reports[0].Faults.GroupBy(count => count.Kind).Select(kind => (Words(kind.Key), (IReadOnlyList<FaultCount>)[.. kind]))]
            : [.. reports.Where(report => report.Faults.Count > 0).Select(report => ($"{report.Pipeline}, {NameOf(report.Model)}", report.Faults))];
        if (rows.Length == 0) return;
        FaultOutcome[] outcomes = Enum.GetValues<FaultOutcome>();
        output.WriteLine();
        output.WriteTable(
            ["errors of devices", .. outcomes.Select(Words)],
            rows.Select(row => (IReadOnlyList<Cell>)
            [
                row.Label,
                .. outcomes.Select(outcome =>
                {
                    long count = row.Counts.Where(one => one.Outcome == outcome).Sum(one => one.Count);
                    return outcome == FaultOutcome.Silent && count > 0 ? new Cell(Number(count), Cell.Bad) : new Cell(Number(count));
                }),
            ]));
    }

    // "LostWrite": "lost write".
    private static string Words<T>(T value) where T : struct, Enum =>
        string.Concat(value.ToString().Select((letter, i) => char.IsUpper(letter) ? (i > 0 ? " " : "") + char.ToLowerInvariant(letter) : letter.ToString()));

    /// <summary>As on the command line.</summary>
    public static string NameOf(PersistenceModel model) => model.ToString().ToLowerInvariant();

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
