namespace StoragePlugins.CrashKit.Exploring;

/// <summary>Counts states and knows which were judged already. Thread-safe.</summary>
/// <remarks>Bounded: beyond <see cref="MaxKnown"/> states it learns no more; then states may be judged twice, and are not counted as distinct.</remarks>
public sealed class StateLedger
{
    /// <summary>The most states that are remembered: about 700 MB for both sets.</summary>
    public const int MaxKnown = 16_000_000;

    private readonly Lock _gate = new();
    private readonly HashSet<ulong> _contents = [];
    private readonly HashSet<ulong> _judged = [];
    private readonly long[] _byTier = new long[Enum.GetValues<Tier>().Length];
    private long _states;
    private long _judgedCount;

    /// <summary>States chosen, those that had been judged before included.</summary>
    public long States => Interlocked.Read(ref _states);

    /// <summary>States recovered and checked.</summary>
    public long Judged => Interlocked.Read(ref _judgedCount);

    /// <summary>Different contents of the devices after a power cut.</summary>
    public long DistinctStates
    {
        get
        {
            lock (_gate) return _contents.Count;
        }
    }

    /// <summary>Judged states by the tier that chose them.</summary>
    public IReadOnlyDictionary<Tier, long> JudgedByTier
    {
        get
        {
            lock (_gate) return Enum.GetValues<Tier>().Where(tier => _byTier[(int)tier] > 0).ToDictionary(tier => tier, tier => _byTier[(int)tier]);
        }
    }

    /// <summary>Notes a state.</summary>
    /// <param name="content">The hash of the devices' content.</param>
    /// <param name="obligation">A hash of what must hold of it: the same content may be right before a flush was acknowledged, and wrong after.</param>
    /// <param name="tier">Who chose it.</param>
    /// <returns>True when it has to be judged.</returns>
    public bool Note(ulong content, ulong obligation, Tier tier)
    {
        Interlocked.Increment(ref _states);
        lock (_gate)
        {
            if (_contents.Count < MaxKnown) _contents.Add(content);
            ulong key = content ^ (obligation * 0x9e37_79b9_7f4a_7c15);
            if (_judged.Count < MaxKnown ? !_judged.Add(key) : _judged.Contains(key)) return false;
            _byTier[(int)tier]++;
        }

        Interlocked.Increment(ref _judgedCount);
        return true;
    }
}
