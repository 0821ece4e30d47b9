namespace StoragePlugins.Journaling;

/// <summary>
/// Chooses whether small guest writes ride in records. Riding writes them twice, into the log and home, and pays where a flush of scattered
/// writes is slow: on a device that seeks.
/// </summary>
/// <remarks>
/// <para><see cref="DualMode.Auto"/> begins with writes that go home. When <see cref="Run"/> flushes in a row had such writes to make durable and took
/// <see cref="SlowFlush"/> or longer, as many are tried with the writes riding, and what was clearly faster is kept for <see cref="Stay"/> flushes. A device
/// without seeks is never slow enough to be tried; one that is slow for another reason loses little by the trial.</para>
/// <para>Either way is right at any moment: this is about time only. <see cref="Rides"/> and <see cref="NoteSmallWrite"/> are for any thread, <see cref="Flushed"/> for
/// the one that commits.</para>
/// </remarks>
internal sealed class DualModeChoice(DualMode mode)
{
    /// <summary>Flushes that are measured before a choice: enough that no single pause of the machine makes it.</summary>
    public const int Run = 8;

    /// <summary>Flushes between one choice and the next look at it.</summary>
    public const int Stay = 2048;

    /// <summary>Solid state flushes scattered writes sooner than this, even behind a network; nothing with a seek and a rotation in it does.</summary>
    public static readonly TimeSpan SlowFlush = TimeSpan.FromMilliseconds(3);

    private volatile bool _rides = mode == DualMode.On;
    private int _smallWrites;
    private State _state;
    private int _flushes;
    private TimeSpan _took, _tookHome;

    private enum State
    {
        Watching = 0,
        Trying,
        Staying,
    }

    /// <summary>Small writes ride.</summary>
    public bool Rides => _rides;

    /// <summary>A small write went either way.</summary>
    public void NoteSmallWrite()
    {
        if (Volatile.Read(ref _smallWrites) == 0) Volatile.Write(ref _smallWrites, 1);
    }

    /// <summary>A flush begins: small writes from now on belong to the next one.</summary>
    /// <returns>Whether this one is to be timed: there were any since the last, and something is to be chosen.</returns>
    public bool FlushBegins() => mode == DualMode.Auto && Interlocked.Exchange(ref _smallWrites, 0) != 0;

    /// <summary>A flush for which <see cref="FlushBegins"/> was true has ended.</summary>
    public void Flushed(TimeSpan took)
    {
        if (++_flushes > 0) _took += took;
        switch (_state)
        {
            case State.Watching when took < SlowFlush:
                Enter(State.Watching, rides: false);
                break;
            case State.Watching when _flushes == Run:
                _tookHome = _took;
                Enter(State.Trying, rides: true);
                // The first flush of a trial has writes from before it to make durable, and does not count.
                _flushes = -1;
                break;
            case State.Trying when _flushes == Run:
                Enter(State.Staying, rides: _took * 3 < _tookHome * 2);
                break;
            case State.Staying when _flushes == Stay:
                Enter(State.Watching, rides: false);
                break;
        }
    }

    private void Enter(State state, bool rides) => (_state, _rides, _flushes, _took) = (state, rides, 0, TimeSpan.Zero);
}
