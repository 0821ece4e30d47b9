namespace StoragePlugins.Host.Comparison;

/// <summary>What guests do over and over: write, then wait for a flush. One operation is one write and one flush.</summary>
/// <param name="Name">As on the command line.</param>
/// <param name="Description">For people.</param>
/// <param name="WriteBytes">Bytes of each write.</param>
/// <param name="Pattern">Where the writes go.</param>
/// <param name="Connections">So many clients at once, each with its own connection and its own part of the disk.</param>
/// <param name="IsWritten">The area was written before, in order.</param>
/// <param name="HasSnapshot">After that an internal snapshot was taken.</param>
internal sealed record Workload(
    string Name, string Description, int WriteBytes, WritePattern Pattern, int Connections = 1, bool IsWritten = false, bool HasSnapshot = false)
{
    /// <summary>The unit in which disks are prepared and large writes are sent: qcow2's usual cluster.</summary>
    public const int BlockBytes = 64 << 10;

    /// <summary>What one L2 table maps with clusters of 64 KiB. Each new one costs flushes of its own.</summary>
    public const long TableBytes = 512L << 20;

    /// <summary>All of them.</summary>
    public static IReadOnlyList<Workload> All { get; } =
    [
        new("append64k", "64 KiB to fresh clusters, one after the other", BlockBytes, WritePattern.Sequential),
        new("overwrite64k", "64 KiB over allocated clusters, one after the other", BlockBytes, WritePattern.Sequential, IsWritten: true),
        new("random64k", "64 KiB to fresh clusters all over the disk, a new L2 table every 512 MiB", BlockBytes, WritePattern.Scattered),
        new("overwrite64k-after-snapshot", "64 KiB over clusters that an internal snapshot shares", BlockBytes, WritePattern.Sequential, IsWritten: true, HasSnapshot: true),
        new("random4k-sync", "4 KiB at random over allocated clusters", 4096, WritePattern.Random, IsWritten: true),
        new("writers16", "4 KiB at random over allocated clusters by 16 clients at once", 4096, WritePattern.Random, Connections: 16, IsWritten: true),
    ];

    /// <summary>Bytes from the start of the disk that are written before, or appended to.</summary>
    public static long AreaBytes(int operations) => (long)operations * BlockBytes;

    /// <summary>Operations of each client. Many clients do four times the work together, so that a run is long beside their start.</summary>
    public int OperationsPerClient(int operations) => Connections == 1 ? operations : Math.Max(1, operations * 4 / Connections);

    /// <summary>The offsets that each client writes to, in order.</summary>
    /// <param name="operations">As asked for on the command line.</param>
    /// <param name="diskBytes">Size of the disk, at least <see cref="AreaBytes"/> and <see cref="TableBytes"/>.</param>
    /// <param name="seed">The same seed gives the same offsets to all that are compared.</param>
    public long[][] Offsets(int operations, long diskBytes, int seed)
    {
        var random = new Random(seed);
        int each = OperationsPerClient(operations);
        long share = AreaBytes(operations) / Connections / WriteBytes;
        return Pattern switch
        {
            WritePattern.Sequential => [[.. Enumerable.Range(0, each).Select(i => (long)i * WriteBytes)]],
            WritePattern.Scattered => [Scatter(each, diskBytes, random)],
            _ => [.. Enumerable.Range(0, Connections).Select(client => (long[])[.. Enumerable.Range(0, each).Select(_ => ((client * share) + random.NextInt64(share)) * WriteBytes)])],
        };
    }

    /// <summary>Distinct clusters, the tables in turn.</summary>
    private static long[] Scatter(int count, long diskBytes, Random random)
    {
        long tables = diskBytes / TableBytes;
        var offsets = new HashSet<long>();
        while (offsets.Count < count) offsets.Add((offsets.Count % tables * TableBytes) + (random.NextInt64(TableBytes / BlockBytes) * BlockBytes));
        return [.. offsets];
    }
}

/// <summary>Where a workload writes.</summary>
internal enum WritePattern
{
    /// <summary>One block after the other.</summary>
    Sequential,

    /// <summary>Distinct blocks over the whole disk.</summary>
    Scattered,

    /// <summary>Anywhere in the area.</summary>
    Random,
}
