using System.Globalization;
using Spectre.Console;
using StoragePlugins.CrashKit.Runs;

namespace StoragePlugins.Host.CrashTesting;

/// <summary>Shows how a crash test goes: a bar on a terminal, a line every now and then elsewhere. On standard error.</summary>
internal static class CrashTestProgress
{
    private static readonly TimeSpan s_betweenLines = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_betweenLooks = TimeSpan.FromMilliseconds(200);

    /// <summary>Runs the test.</summary>
    /// <param name="test">The test.</param>
    /// <param name="settings">Its settings.</param>
    /// <param name="isTerminal">Whether standard output is one.</param>
    /// <param name="writeLine">Takes a line where there is no terminal.</param>
    /// <param name="cancel">Ends the test early.</param>
    public static CrashTestReport Show(ICrashTestRun test, CrashTestSettings settings, bool isTerminal, Action<string> writeLine, CancellationToken cancel)
    {
        Task<CrashTestReport> run = Task.Factory.StartNew(() => test.Run(cancel), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        if (isTerminal && !Console.IsErrorRedirected) ShowBar(run, test, settings);
        else ShowLines(run, test, writeLine);
        return run.GetAwaiter().GetResult();
    }

    private static void ShowLines(Task run, ICrashTestRun test, Action<string> writeLine)
    {
        // Whoever waits for the task is told of its failure.
        while (Task.WaitAny([run], s_betweenLines) < 0) writeLine(Text(test.Progress()));
    }

    private static void ShowBar(Task run, ICrashTestRun test, CrashTestSettings settings)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        console.Progress().AutoClear(true).Columns(new ProgressBarColumn(), new RemainingTimeColumn(), new TaskDescriptionColumn { Alignment = Justify.Left }).Start(context =>
        {
            ProgressTask bar = context.AddTask("", maxValue: settings.Budget.TotalSeconds);
            do
            {
                CrashTestReport now = test.Progress();
                bar.Value = now.Elapsed.TotalSeconds;
                bar.Description = Markup.Escape(Text(now));
            }
            while (Task.WaitAny([run], s_betweenLooks) < 0);
        });
    }

    private static string Text(CrashTestReport report) => string.Create(CultureInfo.InvariantCulture,
        $"{report.Pipeline}, {CrashTestTable.NameOf(report.Model)}: {report.DistinctStates:N0} states, {report.StatesPerSecond:N0}/s, {report.Workloads:N0} workloads, {report.FailureCount} failures");
}
