using StoragePlugins.CrashKit.Faults;

namespace StoragePlugins.CrashKit.Workloads;

/// <summary>
/// The workloads of a run, by number: the bounded ones of one, two and three operations (ACE, OSDI '18), each sequence ended by a flush or not, and
/// between them longer ones at random. The same seed and number give the same workload.
/// </summary>
/// <remarks>Thread-safe and without state.</remarks>
public sealed class WorkloadPlan
{
    private const int FuzzedSteps = 40;
    private const int RevisitingSteps = 50;
    private const int OrderingSteps = 24;

    /// <summary>Enough for a small log to fill and to wrap several times; only the last quarter is explored.</summary>
    private const int LongSteps = 240;

    private readonly int _seed;
    private readonly long _block;
    private readonly long _disk;
    private readonly bool _hasSnapshots;
    private readonly bool _hasResize;
    private readonly GuestOperation[] _alphabet;

    /// <summary>A plan for a disk.</summary>
    /// <param name="seed">Of the run.</param>
    /// <param name="block">The disk's preferred block size.</param>
    /// <param name="disk">Its virtual size.</param>
    /// <param name="hasSnapshots">The image offers <see cref="ISnapshotImage"/>.</param>
    /// <param name="hasResize">The disk offers <see cref="IResizableDisk"/>.</param>
    public WorkloadPlan(int seed, int block, long disk, bool hasSnapshots, bool hasResize)
    {
        (_seed, _block, _disk, _hasSnapshots, _hasResize) = (seed, block, disk, hasSnapshots, hasResize);
        _alphabet = [.. Alphabet()];
    }

    /// <summary>Operations from which bounded sequences are made.</summary>
    public int AlphabetSize => _alphabet.Length;

    /// <summary>Workload number <paramref name="index"/>, from 0.</summary>
    public Workload this[long index]
    {
        get
        {
            int n = _alphabet.Length;
            // All of one operation; then by turns pairs, triples, and longer ones. Pairs and triples walk their whole space before they repeat.
            if (index < n) return Bounded([(int)index], index);
            long turn = (index - n) / 4;
            return ((index - n) % 4) switch
            {
                0 => Bounded(Digits(Walk(turn, (long)n * n), 2), index),
                2 => Bounded(Digits(Walk(turn, (long)n * n * n), 3), index),
                1 when turn % 3 == 0 => Revisiting(Seeded(_seed, index, salt: 0)),
                1 when turn % 6 == 5 => Ordering(Seeded(_seed, index, salt: 0)),
                _ => Fuzzed(index),
            };
        }
    }

    private IEnumerable<GuestOperation> Alphabet()
    {
        // Where: the first block, a neighbour under the same table, one under the next table, the last one, and across a boundary.
        long last = (_disk / _block) - 1, far = Math.Min(last, Math.Max(2, (_disk / _block / 2) + 1));
        long sector = Math.Min(512, _block), half = Math.Max(sector, _block / 2);
        foreach (long at in new[] { 0L, 1, far, last }.Distinct())
        {
            yield return new GuestOperation(GuestAction.Write, at * _block, _block);
        }

        yield return new GuestOperation(GuestAction.Write, 0, sector);
        yield return new GuestOperation(GuestAction.Write, _block - half, 2 * half);
        yield return new GuestOperation(GuestAction.Write, 0, Math.Min(_disk, 4 * _block));
        yield return new GuestOperation(GuestAction.Write, (_block / 2) + 100, 50);
        yield return new GuestOperation(GuestAction.ForcedWrite, _block, sector);
        yield return new GuestOperation(GuestAction.ForcedWrite, far * _block, _block);
        yield return new GuestOperation(GuestAction.Discard, 0, _block);
        yield return new GuestOperation(GuestAction.Discard, 0, Math.Min(_disk, 4 * _block));
        yield return new GuestOperation(GuestAction.ZeroAndUnmap, 0, 2 * _block);
        yield return new GuestOperation(GuestAction.Zero, _block, _block);
        yield return new GuestOperation(GuestAction.Zero, sector, sector);
        yield return new GuestOperation(GuestAction.Flush);
        yield return new GuestOperation(GuestAction.Barrier);
        yield return new GuestOperation(GuestAction.Reopen);
        yield return new GuestOperation(GuestAction.Abandon);
        if (_hasSnapshots)
        {
            yield return new GuestOperation(GuestAction.CreateSnapshot, Name: "a");
            yield return new GuestOperation(GuestAction.ApplySnapshot, Name: "a");
            yield return new GuestOperation(GuestAction.DeleteSnapshot, Name: "a");
        }

        if (_hasResize)
        {
            yield return new GuestOperation(GuestAction.Resize, _disk + (8 * _block));
            yield return new GuestOperation(GuestAction.Resize, _disk / 2);
        }
    }

    // A full cycle over 0 … count−1 in an order without pattern: a multiplier that shares no factor with the count.
    private static long Walk(long turn, long count)
    {
        long step = (long)(count * 0.618) | 1;
        while (Gcd(step, count) != 1) step += 2;
        return (long)((System.Int128)turn * step % count);
    }

    private static long Gcd(long a, long b)
    {
        while (b != 0) (a, b) = (b, a % b);
        return a;
    }

    private int[] Digits(long number, int count)
    {
        int[] digits = new int[count];
        for (int i = 0; i < count; i++, number /= _alphabet.Length) digits[i] = (int)(number % _alphabet.Length);
        return digits;
    }

    private Workload Bounded(int[] operations, long index)
    {
        var random = Seeded(_seed, index, salt: 0);
        var steps = new List<IReadOnlyList<GuestOperation>>();
        // Something to overwrite, half of the time, made durable by a reopening; then the sequence, with a flush after one of its operations.
        if (random.Next(2) == 0)
        {
            steps.Add([new GuestOperation(GuestAction.Write, 0, Math.Min(_disk, 3 * _block))]);
            steps.Add([new GuestOperation(random.Next(2) == 0 ? GuestAction.Flush : GuestAction.Reopen)]);
        }

        int flushAfter = random.Next(operations.Length + 1);
        for (int i = 0; i < operations.Length; i++)
        {
            steps.Add([_alphabet[operations[i]]]);
            if (i == flushAfter) steps.Add([new GuestOperation(GuestAction.Flush)]);
        }

        return new Workload(_disk, steps) { Origin = $"bounded sequence of {operations.Length}" };
    }

    // Small writes with a flush after most of them, here and there something else: what fills logs.
    private Workload Long(Random random)
    {
        var steps = new List<IReadOnlyList<GuestOperation>>(LongSteps);
        long sector = Math.Min(512, _block);
        // Every other one with nothing but writes of a sector or two, which ride in journals that let writes ride.
        bool isSmall = random.Next(2) == 0;
        int count = isSmall ? 2 * LongSteps : LongSteps;
        for (int i = 0; i < count; i++)
        {
            GuestOperation operation = !isSmall && random.Next(30) == 0 ? Any(random)
                : isSmall ? new GuestOperation(GuestAction.Write, random.NextInt64((_disk / sector) - 2) * sector, random.Next(1, 3) * sector)
                : Any(random, 0, _disk);
            if (operation.Action is GuestAction.Reopen or GuestAction.Abandon && i < LongSteps / 2) operation = new GuestOperation(GuestAction.Flush);
            steps.Add([operation]);
            if (random.Next(3) > 0) steps.Add([new GuestOperation(GuestAction.Flush)]);
        }

        return new Workload(_disk, steps) { Origin = "long", QuietSteps = steps.Count * 3 / 4 };
    }

    // The same few places again and again: what was freed is used anew, and what a log still holds is written once more.
    private Workload Revisiting(Random random)
    {
        long sector = Math.Min(512, _block), blocks = _disk / _block;
        (long Offset, long Length)[] places =
        [
            .. Enumerable.Range(0, random.Next(2, 6)).Select(_ =>
            {
                long at = random.NextInt64(blocks) * _block;
                return random.Next(4) switch
                {
                    0 => (at, Math.Min(_disk - at, random.NextInt64(2, 5) * _block)),
                    1 => (at + (random.NextInt64(_block / sector) * sector), sector),
                    _ => (at, _block),
                };
            }),
        ];
        int count = random.Next(8, RevisitingSteps);
        var steps = new List<IReadOnlyList<GuestOperation>>(2 * count);
        for (int i = 0; i < count; i++)
        {
            (long offset, long length) = places[random.Next(places.Length)];
            GuestAction action = random.Next(16) switch
            {
                < 9 => GuestAction.Write,
                < 12 => GuestAction.Discard,
                12 => GuestAction.ZeroAndUnmap,
                13 => GuestAction.ForcedWrite,
                14 => GuestAction.Zero,
                _ => random.Next(4) switch { 0 => GuestAction.Reopen, 1 => GuestAction.Abandon, _ => GuestAction.Barrier },
            };
            steps.Add([action is GuestAction.Reopen or GuestAction.Abandon or GuestAction.Barrier ? new GuestOperation(action) : new GuestOperation(action, offset, length)]);
            if (random.Next(3) == 0) steps.Add([new GuestOperation(GuestAction.Flush)]);
        }

        return new Workload(_disk, steps) { Origin = "revisiting", QuietSteps = steps.Count / 3 };
    }

    // A guest that orders by barriers and seldom flushes: new blocks and old ones in turn, whole and in part, so that what shows by itself stands on both sides of
    // barriers beside what only a commit shows.
    private Workload Ordering(Random random)
    {
        long sector = Math.Min(512, _block), blocks = _disk / _block;
        var steps = new List<IReadOnlyList<GuestOperation>>(2 * OrderingSteps);
        bool isFilled = random.Next(2) == 0;
        if (isFilled)
        {
            steps.Add([new GuestOperation(GuestAction.Write, 0, Math.Min(_disk, 3 * _block))]);
            steps.Add([new GuestOperation(GuestAction.Flush)]);
        }

        int count = random.Next(4, OrderingSteps);
        for (int i = 0; i < count; i++)
        {
            long at = (random.Next(3) == 0 ? random.NextInt64(Math.Min(3, blocks)) : random.NextInt64(blocks)) * _block;
            GuestOperation change = random.Next(12) switch
            {
                < 7 => new GuestOperation(GuestAction.Write, at, Math.Min(_disk - at, random.NextInt64(1, 4) * _block)),
                < 10 => new GuestOperation(GuestAction.Write, at + (random.NextInt64(_block / sector) * sector), sector),
                10 => new GuestOperation(GuestAction.Discard, at, _block),
                _ => new GuestOperation(GuestAction.ZeroAndUnmap, at, _block),
            };
            steps.Add([change]);
            if (random.Next(3) > 0) steps.Add([new GuestOperation(GuestAction.Barrier)]);
            else if (random.Next(8) == 0) steps.Add([new GuestOperation(GuestAction.Flush)]);
            else if (random.Next(24) == 0) steps.Add([new GuestOperation(GuestAction.Abandon)]);
        }

        return new Workload(_disk, steps) { Origin = "ordering", QuietSteps = isFilled ? 2 : 0 };
    }

    private Workload Fuzzed(long index)
    {
        var random = Seeded(_seed, index, salt: 0);
        if (random.Next(12) == 0) return Long(random);
        int count = random.Next(4, FuzzedSteps);
        long half = _disk / 2 / _block * _block;
        var steps = new List<IReadOnlyList<GuestOperation>>(count);
        for (int i = 0; i < count; i++)
        {
            // Now and then two requests at once, on the two halves of the disk: never in one sector, whose value would depend on their order.
            if (random.Next(8) == 0) steps.Add([Any(random, 0, half), Any(random, half, _disk)]);
            else steps.Add([Any(random)]);
        }

        return new Workload(_disk, steps) { Origin = "fuzzed", Fault = random.Next(6) == 0 ? new DeviceFault(FaultKind.FlushFails, random.Next(12)) : null };
    }

    /// <summary>Random numbers that depend on nothing but these: the same in every process.</summary>
    internal static Random Seeded(int seed, long index, int salt)
    {
        ulong x = unchecked((((ulong)seed * 0x9e37_79b9_7f4a_7c15) ^ ((ulong)index * 0xbf58_476d_1ce4_e5b9)) + (ulong)salt);
        x = (x ^ (x >> 29)) * 0x94d0_49bb_1331_11eb;
        return new Random((int)(x >> 33));
    }

    private GuestOperation Any(Random random)
    {
        int kind = random.Next(100);
        return kind switch
        {
            < 22 => new GuestOperation(GuestAction.Flush),
            < 26 => new GuestOperation(GuestAction.Barrier),
            < 29 => new GuestOperation(GuestAction.Reopen),
            < 33 => new GuestOperation(GuestAction.Abandon),
            < 36 when _hasSnapshots => new GuestOperation(GuestAction.CreateSnapshot, Name: Name(random)),
            < 37 when _hasSnapshots => new GuestOperation(GuestAction.ApplySnapshot, Name: Name(random)),
            < 39 when _hasSnapshots => new GuestOperation(GuestAction.DeleteSnapshot, Name: Name(random)),
            < 41 when _hasResize => new GuestOperation(GuestAction.Resize, random.NextInt64(1, (_disk * 3 / 2 / _block) + 1) * _block),
            _ => Any(random, 0, _disk),
        };
    }

    private static string Name(Random random) => ((char)('a' + random.Next(3))).ToString();

    private GuestOperation Any(Random random, long from, long to)
    {
        GuestAction action = random.Next(12) switch
        {
            0 => GuestAction.Discard,
            1 => GuestAction.ZeroAndUnmap,
            2 => GuestAction.Zero,
            3 => GuestAction.ForcedWrite,
            _ => GuestAction.Write,
        };
        // Whole blocks, whole sectors, or any bytes; near the start more often, so that things are written twice.
        long unit = random.Next(8) switch { < 4 => _block, < 7 => Math.Min(512, _block), _ => 1 };
        long places = (to - from) / unit;
        long first = from + ((random.Next(2) == 0 ? random.NextInt64(places) : random.NextInt64(Math.Max(1, places / 8))) * unit);
        long length = Math.Min(to - first, unit == 1 ? random.NextInt64(1, _block + 1) : random.NextInt64(1, Math.Max(2, 3 * _block / unit)) * unit);
        return new GuestOperation(action, first, length);
    }
}
