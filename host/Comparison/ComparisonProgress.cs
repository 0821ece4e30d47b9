using Spectre.Console;

namespace StoragePlugins.Host.Comparison;

/// <summary>Shows how far a comparison is: a bar on a terminal, a line a round elsewhere. On standard error, so that the figures can be redirected.</summary>
internal static class ComparisonProgress
{
    /// <summary>Runs the work.</summary>
    /// <param name="steps">About so many steps.</param>
    /// <param name="isTerminal">Whether standard output is one.</param>
    /// <param name="writeLine">Takes a line where there is no terminal.</param>
    /// <param name="work">Told how to say what comes next.</param>
    public static T Show<T>(int steps, bool isTerminal, Action<string> writeLine, Func<Action<string>, T> work)
        => isTerminal && !Console.IsErrorRedirected ? ShowBar(steps, work) : work(new Lines(writeLine).Show);

    private static T ShowBar<T>(int steps, Func<Action<string>, T> work)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        return console.Progress().AutoClear(true)
            .Columns(new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn(), new TaskDescriptionColumn { Alignment = Justify.Left })
            .Start(context =>
            {
                ProgressTask bar = context.AddTask("starting", maxValue: steps);
                bool isFirst = true;
                return work(text =>
                {
                    if (!isFirst) bar.Increment(1);
                    isFirst = false;
                    bar.Description = Markup.Escape(text);
                });
            });
    }

    private sealed class Lines(Action<string> writeLine)
    {
        private string _stage = "";

        /// <summary>Writes what stands before the colon when it changes.</summary>
        public void Show(string text)
        {
            string stage = text.Split(':', 2)[0];
            if (stage == _stage) return;
            _stage = stage;
            writeLine(stage);
        }
    }
}
