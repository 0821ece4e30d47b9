using System.Diagnostics;
using System.Globalization;

namespace StoragePlugins.Host.Evaluation;

/// <summary>How long everything will still take, from how long the steps so far took: steps are runs, and runs are chosen to take about the same time.</summary>
/// <param name="steps">In all.</param>
internal sealed class EvaluationClock(int steps)
{
    // Before that a guess would be worth nothing.
    private const int LeastSteps = 5;

    private readonly long _start = Stopwatch.GetTimestamp();
    private int _done;

    /// <summary>The text of a step that begins, with the time left. What is set up counts with the runs that follow.</summary>
    public string Step(string text)
    {
        int done = text.Contains("setting up", StringComparison.Ordinal) ? _done : _done++;
        return done < LeastSteps ? text : $"{text} ({Left(Stopwatch.GetElapsedTime(_start), done, steps)} left in all)";
    }

    /// <summary>Minutes and seconds.</summary>
    internal static string Left(TimeSpan elapsed, int done, int steps)
    {
        TimeSpan left = elapsed / done * Math.Max(0, steps - done);
        return string.Create(CultureInfo.InvariantCulture, $"{(int)left.TotalMinutes}:{left.Seconds:00}");
    }
}
