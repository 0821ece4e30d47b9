using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Trees;

/// <summary>
/// Workloads of a seed: first some that were thought out, then each single operation and each pair of them on a small tree (what CrashMonkey's ACE calls seq-1 and
/// seq-2); after every few pairs, and at the end alone, fuzzed ones of ten to thirty operations, some on trees whose directories, journal or space are nearly full.
/// </summary>
internal sealed class TreeWorkloadPlan(int seed)
{
    /// <summary>One in so many is a fuzzed one while the pairs last.</summary>
    private const int FuzzedEvery = 4;

    private const int LeastFuzzed = 10, MostFuzzed = 30;

    /// <summary>Entries of this name fill a leaf of 4 KiB with 18.</summary>
    private const int LongNameBytes = 200;

    /// <summary>Enough small changes to fill a ring of 16 KiB.</summary>
    private const int FillingChanges = 120;

    /// <summary>Blocks of the image of 1 MiB that a file takes, so that what is freed is taken again at once; where there are not so many, nothing is taken.</summary>
    private const int MostFilled = 222;

    private static readonly string[] Files = ["a", "b", "d/a", "d/b", "e"];
    private static readonly long[] Offsets = [0, 1, 8, 100, 4090, 4096, 8192, 65530, 65536, 70000, 1 << 20];
    private static readonly int[] Lengths = [1, 7, 8, 64, 100, 512, 4096, 5000, 12288, 30000];

    private static readonly TreeOperation[] Base =
    [
        new(TreeAction.Create, "a"),
        new(TreeAction.Write, "a", Length: 5000),
        new(TreeAction.MakeDirectory, "d"),
        new(TreeAction.Create, "d/a"),
        new(TreeAction.Append, "d/a", Length: 100),
        new(TreeAction.SetAttribute, "a", "user.x", Length: 10),
        new(TreeAction.MakeDirectory, "empty"),
    ];

    /// <summary>The single operations of which the bounded workloads consist.</summary>
    private static readonly TreeOperation[] Alphabet =
    [
        new(TreeAction.Create, "b"),
        new(TreeAction.Create, "d/b"),
        new(TreeAction.MakeDirectory, "d/d"),
        new(TreeAction.SymbolicLink, "b", "a"),
        new(TreeAction.SymbolicLink, "d/b", new string('t', 300)),
        new(TreeAction.Link, "a", "d/b"),
        new(TreeAction.Remove, "a"),
        new(TreeAction.Remove, "d/a"),
        new(TreeAction.RemoveDirectory, "empty"),
        new(TreeAction.RemoveDirectory, "d"),
        new(TreeAction.Rename, "a", "b"),
        new(TreeAction.Rename, "a", "d/a"),
        new(TreeAction.Rename, "d/a", "a"),
        new(TreeAction.Rename, "d", "empty"),
        new(TreeAction.Rename, "empty", "d/d"),
        new(TreeAction.Exchange, "a", "d/a"),
        new(TreeAction.Exchange, "a", "d"),
        new(TreeAction.Append, "a", Length: 100),
        new(TreeAction.Append, "a", Length: 9000),
        new(TreeAction.Write, "a", Offset: 100, Length: 1000),
        new(TreeAction.Write, "a", Offset: 4000, Length: 5000),
        new(TreeAction.Write, "a", Offset: 12288, Length: 4096),
        new(TreeAction.Write, "a", Offset: 65000, Length: 2000),
        new(TreeAction.Write, "a", Offset: 3 << 20, Length: 10),
        new(TreeAction.SetSize, "a", Offset: 100),
        new(TreeAction.SetSize, "a", Offset: 0),
        new(TreeAction.SetSize, "a", Offset: 9000),
        new(TreeAction.PunchHole, "a", Offset: 0, Length: 4096),
        new(TreeAction.PunchHole, "a", Offset: 100, Length: 4500),
        new(TreeAction.ZeroRange, "a", Offset: 50, Length: 4500),
        new(TreeAction.Allocate, "a", Offset: 0, Length: 20000),
        new(TreeAction.AllocateKeepSize, "a", Offset: 8192, Length: 8192),
        new(TreeAction.ChangeMode, "a", Length: 0x180),
        new(TreeAction.ChangeOwner, "d", Length: 7),
        new(TreeAction.SetTimes, "a", Offset: 12345),
        new(TreeAction.SetAttribute, "a", "user.x", Length: 200),
        new(TreeAction.SetAttribute, "d", "user.y", Length: 10),
        new(TreeAction.RemoveAttribute, "a", "user.x"),
        new(TreeAction.Hold, "a"),
        new(TreeAction.ReleaseAll),
        new(TreeAction.Closed, "a"),
        new(TreeAction.Reopen),
        new(TreeAction.Abandon),
    ];

    // On a tree without a free block what is freed is taken by the next one who asks: a directory's block by data, then a map's.
    private static readonly TreeWorkload[] Directed =
    [
        AfterFilling("a directory's block becomes data",
            [new(TreeAction.Create, "e"), new(TreeAction.Create, "empty/f")],
            [new(TreeAction.Remove, "empty/f"), new(TreeAction.RemoveDirectory, "empty"), new(TreeAction.Write, "e", Length: 4096), new(TreeAction.Append, "e", Length: 100)]),
        AfterFilling("a map's block becomes data",
            [new(TreeAction.Create, "e"), new(TreeAction.Write, "a", Offset: 1 << 20, Length: 100), new(TreeAction.Write, "a", Offset: 2 << 20, Length: 100)],
            [new(TreeAction.SetSize, "a", Offset: 0), new(TreeAction.Write, "e", Length: 16384), new(TreeAction.Remove, "e"), new(TreeAction.Write, "a", Offset: 1 << 20, Length: 100)]),
        AfterFilling("a file's blocks become another's",
            [new(TreeAction.Create, "e"), new(TreeAction.Write, "e", Length: 40960), new(TreeAction.Create, "b")],
            [new(TreeAction.Remove, "e"), new(TreeAction.Write, "b", Offset: 100, Length: 50), new(TreeAction.SetSize, "b", Offset: 3000), new(TreeAction.Write, "b", Offset: 9000, Length: 10)]),
    ];

    /// <summary>How many workloads of one or two operations there are.</summary>
    public static int BoundedCount => Alphabet.Length + (Alphabet.Length * Alphabet.Length);

    /// <summary>A workload by its number.</summary>
    public TreeWorkload this[long index]
    {
        get
        {
            if (index < Directed.Length) return Directed[index];
            index -= Directed.Length;
            if (index < Alphabet.Length) return new TreeWorkload([.. Base, Alphabet[index]], Base.Length, $"seq-1 {index}");
            long rest = index - Alphabet.Length, bounded = rest - (rest / FuzzedEvery);
            if (rest % FuzzedEvery == FuzzedEvery - 1 || bounded >= Alphabet.Length * Alphabet.Length) return Fuzzed(seed, index);
            // In the seed's order, so that short runs of several seeds see different pairs.
            long pair = (long)(((UInt128)(ulong)bounded * 1_000_003 + (ulong)(uint)seed * 7919) % (ulong)(Alphabet.Length * Alphabet.Length));
            return new TreeWorkload([.. Base, Alphabet[pair / Alphabet.Length], Alphabet[pair % Alphabet.Length]], Base.Length, $"seq-2 {pair}");
        }
    }

    /// <summary>What goes on after a recovery.</summary>
    public static TreeWorkload Continuation(Random random) => new([.. Enumerable.Range(0, 4).Select(_ => Any(random))], 0, "after a recovery");

    /// <summary>A fuzzed workload.</summary>
    public static TreeWorkload Fuzzed(int seed, long index)
    {
        Random random = WorkloadPlan.Seeded(seed, index, salt: 11);
        var operations = new List<TreeOperation>(Base);
        string kind = "fuzzed";
        Func<Random, TreeOperation> operation = Any;
        switch (random.Next(6))
        {
            case 2:
                kind = "fuzzed, space nearly used up";
                Fill(operations, random);
                break;
            case 3:
                kind = "fuzzed, blocks change their use";
                Fill(operations, random);
                operation = Reuse;
                break;
            case 0:
                kind = "fuzzed, a leaf nearly full";
                for (int i = 0; i < 17; i++) operations.Add(new TreeOperation(TreeAction.Create, LongName("d/", i)));
                break;
            case 1:
                kind = "fuzzed, a lane nearly full";
                int changes = FillingChanges - random.Next(60);
                for (int i = 0; i < changes; i++) operations.Add(new TreeOperation(TreeAction.ChangeMode, Files[0], Length: 0x100 + (i % 64)));
                break;
        }

        // Some are cut from the first opening on.
        int quiet = random.Next(8) == 0 ? 0 : operations.Count;
        for (int i = random.Next(LeastFuzzed, MostFuzzed + 1); i > 0; i--) operations.Add(operation(random));
        return new TreeWorkload(operations, quiet, kind);
    }

    // Pieces of half the size each time: one that does not fit takes nothing, and in the end no block is free.
    private static TreeWorkload AfterFilling(string what, TreeOperation[] before, TreeOperation[] then)
    {
        var operations = new List<TreeOperation>([.. Base, .. before, new TreeOperation(TreeAction.Create, "fill")]);
        for (int blocks = 128, at = 0; blocks > 0; at += blocks, blocks /= 2)
            operations.Add(new TreeOperation(TreeAction.AllocateKeepSize, "fill", Offset: (long)at * SparseContent.PageBytes, Length: blocks * SparseContent.PageBytes));
        return new TreeWorkload([.. operations, .. then], operations.Count, what);
    }

    private static void Fill(List<TreeOperation> operations, Random random)
    {
        operations.Add(new TreeOperation(TreeAction.Create, "fill"));
        operations.Add(new TreeOperation(TreeAction.AllocateKeepSize, "fill", Offset: 0, Length: (MostFilled - random.Next(20)) * SparseContent.PageBytes));
    }

    // Directories and maps come and go, and data takes their blocks.
    private static TreeOperation Reuse(Random random) => random.Next(9) switch
    {
        0 => new TreeOperation(TreeAction.MakeDirectory, "empty/d"),
        1 => new TreeOperation(TreeAction.Create, "empty/d/f"),
        2 => new TreeOperation(TreeAction.Remove, "empty/d/f"),
        3 => new TreeOperation(TreeAction.RemoveDirectory, "empty/d"),
        4 => new TreeOperation(TreeAction.Write, "a", Offset: 1 << 20, Length: 100),
        5 => new TreeOperation(TreeAction.SetSize, "a", Offset: 0),
        6 => new TreeOperation(TreeAction.Remove, "d/a"),
        7 => new TreeOperation(TreeAction.Create, "d/a"),
        _ => new TreeOperation(TreeAction.Append, "d/a", Length: Lengths[random.Next(Lengths.Length)]),
    };

    private static string LongName(string folder, int number) => folder + new string((char)('A' + (number % 26)), LongNameBytes) + number;

    private static TreeOperation Any(Random random)
    {
        bool other = random.Next(5) == 0;
        if (random.Next(3) == 0) return Alphabet[random.Next(Alphabet.Length)] with { OnOtherThread = other };
        string file = Files[random.Next(Files.Length)], to = random.Next(6) == 0 ? LongName("d/", 17 + random.Next(3)) : Files[random.Next(Files.Length)];
        (long offset, int length) = (Offsets[random.Next(Offsets.Length)], Lengths[random.Next(Lengths.Length)]);
        TreeOperation operation = random.Next(16) switch
        {
            0 or 1 => new TreeOperation(TreeAction.Create, to),
            2 => new TreeOperation(TreeAction.Remove, file),
            3 => new TreeOperation(TreeAction.Rename, file, to),
            4 => new TreeOperation(TreeAction.RenameKeep, file, to),
            5 => new TreeOperation(TreeAction.Link, file, to),
            6 or 7 => new TreeOperation(TreeAction.Write, file, Offset: offset, Length: length),
            8 or 9 => new TreeOperation(TreeAction.Append, file, Length: length),
            10 => new TreeOperation(TreeAction.SetSize, file, Offset: offset + random.Next(8)),
            11 => new TreeOperation(TreeAction.PunchHole, file, Offset: offset, Length: length),
            12 => new TreeOperation(TreeAction.Hold, file),
            13 => new TreeOperation(TreeAction.WriteHeld, Offset: offset, Length: length),
            14 => new TreeOperation(TreeAction.SetAttribute, file, random.Next(2) == 0 ? "user.x" : "user.long", Length: random.Next(1000)),
            _ => new TreeOperation(TreeAction.ReleaseAll),
        };
        return operation with { OnOtherThread = other };
    }
}
