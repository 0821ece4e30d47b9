using System.Diagnostics;
using System.Globalization;

namespace StoragePlugins.Host.Evaluation;

/// <summary>How long everything will still take, from how long the steps so far took, and whether there is time for one more round where there is a limit.</summary>
/// <param name="weight">Of all steps: a step is a run, and runs of one place are chosen to take about the same time.</param>
/// <param name="limit">That everything is to end within; null for none.</param>
internal sealed class EvaluationClock(double weight, TimeSpan? limit)
{
    // Before that much is done a guess would be worth nothing.
    private const double LeastPart = 0.02;

    private readonly long _start = Stopwatch.GetTimestamp();
    private double _done, _partEnd;

    /// <summary>Since the beginning.</summary>
    public TimeSpan Elapsed => Stopwatch.GetElapsedTime(_start);

    /// <summary>A place and regime begin: theirs is the part of the limit that their steps are of all steps, and what others left of theirs.</summary>
    public void BeginPart(double partWeight) => _partEnd += partWeight;

    /// <summary>The text of a step that begins, with the time left.</summary>
    public string Step(string text, double stepWeight)
    {
        double done = _done / weight;
        _done += stepWeight;
        return done < LeastPart ? text : $"{text} ({Left(Elapsed, done)} left in all)";
    }

    /// <summary>Steps that are not taken.</summary>
    public void Skip(double stepWeight) => _done += stepWeight;

    /// <summary>Whether something that takes so long can still be done in this part.</summary>
    public bool HasTimeFor(TimeSpan time) => limit is null || Elapsed + time <= limit * (_partEnd / weight);

    /// <summary>Minutes and seconds.</summary>
    internal static string Left(TimeSpan elapsed, double done)
    {
        TimeSpan left = elapsed * ((1 - Math.Min(done, 1)) / done);
        return string.Create(CultureInfo.InvariantCulture, $"{(int)left.TotalMinutes}:{left.Seconds:00}");
    }
}
