using System.Globalization;
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
                new Cell(Number(report.Failures.Count), report.Failures.Count == 0 ? Cell.Good : Cell.Bad),
            ]));
        foreach (FailureStory story in stories)
        {
            output.WriteLine();
            foreach (string line in story.Story.ToLines()) output.WriteLine(line);
        }
    }

    /// <summary>As on the command line.</summary>
    public static string NameOf(PersistenceModel model) => model.ToString().ToLowerInvariant();

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
