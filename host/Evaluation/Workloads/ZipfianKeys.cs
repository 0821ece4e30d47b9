namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>
/// YCSB's scrambled zipfian choice: ranks by Gray et al., "Quickly generating billion-record synthetic databases" (SIGMOD 1994), over ten billion items as YCSB has it,
/// spread over the keys by a hash, so that the popular ones do not lie together.
/// </summary>
internal sealed class ZipfianKeys
{
    /// <summary>YCSB's skew.</summary>
    internal const double Theta = 0.99;

    // Of ScrambledZipfianGenerator: items, and their zeta, which would take minutes to sum.
    private const double Items = 10_000_000_000;
    private const double ZetaOfItems = 26.46902820178302;

    private const ulong FnvOffset = 0xCBF29CE484222325, FnvPrime = 1099511628211;

    private readonly Random _random;
    private readonly long _keys;
    private readonly double _alpha = 1 / (1 - Theta);
    private readonly double _eta;

    /// <param name="keys">How many there are.</param>
    /// <param name="random">Source.</param>
    public ZipfianKeys(long keys, Random random)
    {
        (_keys, _random) = (keys, random);
        double zetaOfTwo = 1 + Math.Pow(0.5, Theta);
        _eta = (1 - Math.Pow(2 / Items, 1 - Theta)) / (1 - (zetaOfTwo / ZetaOfItems));
    }

    /// <summary>A key from 0.</summary>
    public long Next() => (long)(Hash((ulong)NextRank()) % (ulong)_keys);

    /// <summary>A rank from 0, the most popular.</summary>
    internal long NextRank()
    {
        double u = _random.NextDouble(), uz = u * ZetaOfItems;
        if (uz < 1) return 0;
        if (uz < 1 + Math.Pow(0.5, Theta)) return 1;
        return (long)(Items * Math.Pow((_eta * u) - _eta + 1, _alpha));
    }

    /// <summary>YCSB's hash of a number: FNV-1 with 64 bits over its eight bytes, the magnitude of it.</summary>
    internal static ulong Hash(ulong value)
    {
        ulong hash = FnvOffset;
        for (int i = 0; i < 8; i++, value >>= 8)
        {
            hash ^= value & 0xFF;
            hash *= FnvPrime;
        }

        return (ulong)Math.Abs((long)hash);
    }
}
