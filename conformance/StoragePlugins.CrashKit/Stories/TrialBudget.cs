namespace StoragePlugins.CrashKit.Stories;

/// <summary>What may still be tried: so many states, and so much time. Not thread-safe.</summary>
/// <remarks>The count makes results repeatable; the time bounds what a single state can cost.</remarks>
internal sealed class TrialBudget : IDisposable
{
    private readonly CancellationTokenSource _stop;
    private readonly CancellationToken _caller;
    private readonly TrialBudget? _whole;
    private readonly TimeSpan _time;
    private long _left;

    public TrialBudget(TrialLimits limits, CancellationToken caller)
    {
        _caller = caller;
        _stop = CancellationTokenSource.CreateLinkedTokenSource(caller);
        (_time, _left) = (limits.Time, limits.Trials);
        _stop.CancelAfter(_time);
    }

    private TrialBudget(TrialBudget whole, double share)
    {
        (_whole, _caller) = (whole, whole._caller);
        _stop = CancellationTokenSource.CreateLinkedTokenSource(whole.Token);
        (_time, _left) = (whole._time * share, (long)(whole._left * share));
        _stop.CancelAfter(_time);
    }

    /// <summary>Cancelled when nothing is left.</summary>
    public CancellationToken Token => _stop.Token;

    /// <summary>Nothing is left: that a trial found nothing means nothing now.</summary>
    public bool IsSpent => _stop.IsCancellationRequested;

    /// <summary>Trials made.</summary>
    public long Spent { get; private set; }

    /// <summary>A part for one thing, so that something is left for what comes after it. What it spends, this one has spent.</summary>
    public TrialBudget Part(double share) => new(this, share);

    /// <summary>Takes one trial.</summary>
    /// <returns>False when nothing is left.</returns>
    /// <exception cref="OperationCanceledException">The caller gave up.</exception>
    public bool TrySpend()
    {
        _caller.ThrowIfCancellationRequested();
        if (IsSpent || _whole?.TrySpend() == false) return false;
        Spent++;
        if (--_left <= 0) _stop.Cancel();
        return true;
    }

    public void Dispose() => _stop.Dispose();
}

/// <summary>How long a failure is looked into.</summary>
public sealed record TrialLimits
{
    /// <summary>The most time.</summary>
    public TimeSpan Time { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The most states that are judged: what the time allows on a slow machine, so that a result seldom depends on it.</summary>
    public long Trials { get; init; } = 100_000;
}
