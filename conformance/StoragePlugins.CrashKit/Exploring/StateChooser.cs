using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Exploring;

/// <summary>
/// Chooses states of a crash point, cheap and telling ones first: everything, nothing, subsets of requests, of atoms, torn requests, then random ones.
/// </summary>
/// <remarks>
/// The tiers of the research notes §1.5. Only atoms that recovery, check and read-back were seen to read are varied on their own
/// (<see cref="Relevant"/>, Vinter's heuristic); the set may grow while the choices are being tried.
/// </remarks>
internal sealed class StateChooser(CrashPoint point, Random random, ChooserLimits limits)
{
    private readonly bool[] _isRelevant = new bool[point.Slots.Count];
    private bool _knowsRelevant;

    /// <summary>Indices of slots that matter; all of them until <see cref="Note"/> was called.</summary>
    public IEnumerable<int> Relevant => Enumerable.Range(0, point.Slots.Count).Where(i => !_knowsRelevant || _isRelevant[i]);

    /// <summary>Learns from a trial what was read.</summary>
    public void Note(Func<Slot, bool> wasRead)
    {
        _knowsRelevant = true;
        for (int i = 0; i < point.Slots.Count; i++) _isRelevant[i] |= point.Slots[i].IsLength || wasRead(point.Slots[i]);
    }

    /// <summary>The states, at most <see cref="ChooserLimits.StatesPerPoint"/>; lazily, so that what was learned on the way counts.</summary>
    public IEnumerable<(StateChoice Choice, Tier Tier)> Choices()
    {
        int left = limits.StatesPerPoint;
        foreach (long[] epochs in EpochChoices())
        {
            // The newest epoch gets most of the states: it is what no other crash point has.
            int share = Math.Max(4, epochs.SequenceEqual(point.LastEpochs()) ? left : left / 4);
            foreach ((StateChoice, Tier) choice in ChoicesIn(epochs).Take(share))
            {
                yield return choice;
                if (--left <= 0) yield break;
            }
        }
    }

    private IEnumerable<long[]> EpochChoices()
    {
        yield return point.LastEpochs();
        for (int d = 0; d < point.Epochs.Count; d++)
        {
            IReadOnlyList<long> list = point.Epochs[d];
            for (int e = list.Count - 2; e >= 0; e--)
            {
                long[] epochs = point.LastEpochs();
                epochs[d] = list[e];
                yield return epochs;
            }
        }
    }

    private IEnumerable<(StateChoice, Tier)> ChoicesIn(long[] epochs)
    {
        StateChoice oldest = point.Oldest(epochs), newest = point.Newest(epochs);
        yield return (newest, Tier.Prefix);
        yield return (oldest, Tier.AllLost);
        int[] open = [.. Relevant.Where(i => oldest.Versions[i] < newest.Versions[i])];
        if (open.Length == 0) yield break;
        TraceEvent[] requests = [.. RequestsOf(open, oldest, newest)];
        foreach (StateChoice choice in Subsets(requests, oldest, newest)) yield return (choice, Tier.Requests);
        foreach (StateChoice choice in Torn(requests, open, oldest, newest)) yield return (choice, Tier.Torn);
        foreach (StateChoice choice in Atoms(open, oldest, newest)) yield return (choice, Tier.Atoms);
        for (int i = 0; i < limits.RandomPerEpoch; i++) yield return (Anything([.. Relevant], oldest, newest), Tier.Random);
    }

    private IEnumerable<TraceEvent> RequestsOf(int[] open, StateChoice oldest, StateChoice newest)
    {
        var seen = new HashSet<int>();
        foreach (int i in open)
        {
            for (int v = oldest.Versions[i] + 1; v <= newest.Versions[i]; v++)
                if (point.Slots[i].Versions[v].Cause is { } cause && seen.Add(cause.Index)) yield return cause;
        }
    }

    private IEnumerable<StateChoice> Subsets(TraceEvent[] requests, StateChoice oldest, StateChoice newest)
    {
        if (requests.Length <= limits.FullSubsetRequests)
        {
            for (int set = 1; set < (1 << requests.Length) - 1; set++)
                yield return WithRequests([.. requests.Where((_, r) => (set & (1 << r)) != 0)], oldest, newest);
            yield break;
        }

        foreach (TraceEvent one in Shuffled(requests)) yield return WithRequests([.. requests.Where(r => r != one)], oldest, newest);
        foreach (TraceEvent one in Shuffled(requests)) yield return WithRequests([one], oldest, newest);
        for (int i = 0; i < limits.Pairs; i++)
        {
            TraceEvent[] pair = random.GetItems(requests, 2);
            yield return WithRequests(i % 2 == 0 ? pair : [.. requests.Except(pair)], oldest, newest);
        }
    }

    // A slot has the newest version that one of the requests made, or what is durable.
    private StateChoice WithRequests(TraceEvent[] kept, StateChoice oldest, StateChoice newest)
    {
        int[] versions = [.. oldest.Versions];
        for (int i = 0; i < versions.Length; i++)
        {
            for (int v = newest.Versions[i]; v > oldest.Versions[i]; v--)
            {
                if (!kept.Contains(point.Slots[i].Versions[v].Cause)) continue;
                versions[i] = v;
                break;
            }
        }

        return oldest with { Versions = versions };
    }

    private IEnumerable<StateChoice> Torn(TraceEvent[] requests, int[] open, StateChoice oldest, StateChoice newest)
    {
        foreach (TraceEvent torn in Shuffled(requests))
        {
            (int Slot, int Version)[] parts = [.. open.SelectMany(i => Enumerable.Range(oldest.Versions[i] + 1, newest.Versions[i] - oldest.Versions[i]).Where(v => point.Slots[i].Versions[v].Cause == torn).Select(v => (i, v)))];
            if (parts.Length < 2) continue;
            foreach (int cut in new SortedSet<int> { 1, parts.Length / 2, parts.Length - 1 })
            {
                foreach (StateChoice others in new[] { newest, oldest })
                {
                    yield return Cut(others, parts[..cut], parts[cut..], oldest);
                    yield return Cut(others, parts[cut..], parts[..cut], oldest);
                }
            }
        }
    }

    private static StateChoice Cut(StateChoice others, (int Slot, int Version)[] there, (int Slot, int Version)[] lost, StateChoice oldest)
    {
        int[] versions = [.. others.Versions];
        foreach ((int slot, int version) in there) versions[slot] = Math.Max(versions[slot], version);
        foreach ((int slot, int version) in lost) versions[slot] = Math.Max(oldest.Versions[slot], version - 1);
        return others with { Versions = versions };
    }

    private IEnumerable<StateChoice> Atoms(int[] open, StateChoice oldest, StateChoice newest)
    {
        double all = 1;
        foreach (int i in open) all *= newest.Versions[i] - oldest.Versions[i] + 1;
        if (all <= limits.FullAtomStates)
        {
            foreach (StateChoice choice in Product(open, oldest, newest)) yield return choice;
            yield break;
        }

        foreach (int i in Shuffled(open))
        {
            yield return With(newest, (i, oldest.Versions[i]));
            yield return With(oldest, (i, newest.Versions[i]));
        }

        for (int p = 0; p < limits.Pairs; p++)
        {
            (int a, int b) = (open[random.Next(open.Length)], open[random.Next(open.Length)]);
            yield return p % 2 == 0 ? With(newest, (a, oldest.Versions[a]), (b, oldest.Versions[b])) : With(oldest, (a, newest.Versions[a]), (b, newest.Versions[b]));
        }
    }

    private static IEnumerable<StateChoice> Product(int[] open, StateChoice oldest, StateChoice newest)
    {
        int[] versions = [.. oldest.Versions];
        while (true)
        {
            yield return oldest with { Versions = [.. versions] };
            int digit = 0;
            while (digit < open.Length && versions[open[digit]] == newest.Versions[open[digit]]) versions[open[digit]] = oldest.Versions[open[digit++]];
            if (digit == open.Length) yield break;
            versions[open[digit]]++;
        }
    }

    // Each state leans its own way: some lose nearly everything, some nearly nothing.
    private StateChoice Anything(int[] relevant, StateChoice oldest, StateChoice newest)
    {
        int[] versions = [.. oldest.Versions];
        double lean = random.NextDouble();
        foreach (int i in relevant)
        {
            int choices = newest.Versions[i] - oldest.Versions[i];
            if (choices > 0 && random.NextDouble() < lean) versions[i] = oldest.Versions[i] + random.Next(1, choices + 1);
        }

        return oldest with { Versions = versions };
    }

    private static StateChoice With(StateChoice choice, params ReadOnlySpan<(int Slot, int Version)> changes)
    {
        int[] versions = [.. choice.Versions];
        foreach ((int slot, int version) in changes) versions[slot] = version;
        return choice with { Versions = versions };
    }

    private T[] Shuffled<T>(T[] items)
    {
        T[] copy = [.. items];
        random.Shuffle(copy);
        return copy;
    }
}

/// <summary>How far a crash point is explored.</summary>
internal sealed record ChooserLimits
{
    /// <summary>For the moments between: everything submitted is there, nothing else is tried.</summary>
    public static ChooserLimits PrefixOnly { get; } = new() { StatesPerPoint = 1 };

    /// <summary>States of one crash point.</summary>
    public int StatesPerPoint { get; init; } = 64;

    /// <summary>Up to so many requests all subsets are tried.</summary>
    public int FullSubsetRequests { get; init; } = 4;

    /// <summary>Up to so many combinations of atoms all are tried.</summary>
    public int FullAtomStates { get; init; } = 64;

    /// <summary>Pairs, of requests and of atoms.</summary>
    public int Pairs { get; init; } = 12;

    /// <summary>Random choices per epoch.</summary>
    public int RandomPerEpoch { get; init; } = 24;
}
