namespace StoragePlugins.PmFileSystemBench;

/// <summary>When written data has to be durable.</summary>
internal enum SyncMode
{
    /// <summary>Not within the time (IOzone without options).</summary>
    None,

    /// <summary>One fsync at the end, within the time (<c>iozone -e</c>).</summary>
    FSync,

    /// <summary>Every write (<c>iozone -o</c>).</summary>
    OSync,
}

/// <summary>What is done to a file, record by record.</summary>
internal enum Pass
{
    /// <summary>A new file, from its beginning to its end.</summary>
    Write,

    /// <summary>The same file again.</summary>
    Rewrite,

    /// <summary>The same file, each record once, in random order.</summary>
    RandomWrite,
}

/// <summary>A file size with a record size, in bytes.</summary>
internal readonly record struct Cell(long FileBytes, int RecordBytes);

/// <summary>A cell as it is measured: what is done, and when it has to be durable.</summary>
internal readonly record struct Setting(SyncMode Mode, Pass Pass, Cell Cell);

/// <summary>The cells of IOzone's automatic mode, and those of the repository's first measurements.</summary>
internal static class Matrix
{
    private const long SmallestFile = 64L << 10;
    private const long LargestFile = 512L << 20;
    private const int SmallestRecord = 4 << 10;

    /// <summary>The largest record of the matrix.</summary>
    public const int LargestRecord = 16 << 20;

    /// <summary>IOzone writes larger files with records of 64 KiB and more only (CROSSOVER in iozone.c), unless told <c>-z</c>.</summary>
    private const long Crossover = 16L << 20;

    private const int SmallestRecordAboveCrossover = 64 << 10;

    /// <summary><c>iozone -a</c>: powers of two, the record not larger than the file.</summary>
    /// <param name="allRecords">Small records of large files too (<c>-z</c>).</param>
    public static IReadOnlyList<Cell> IOzone(bool allRecords)
    {
        List<Cell> cells = [];
        for (long file = SmallestFile; file <= LargestFile; file *= 2)
        {
            int smallest = file > Crossover && !allRecords ? SmallestRecordAboveCrossover : SmallestRecord;
            for (long record = smallest; record <= Math.Min(file, LargestRecord); record *= 2) cells.Add(new Cell(file, (int)record));
        }

        return cells;
    }

    /// <summary>The eleven cells that the targets were drawn from.</summary>
    public static IReadOnlyList<Cell> Quick { get; } =
    [
        .. from file in (long[])[64L << 10, 1L << 20, 16L << 20, 128L << 20]
           from record in (int[])[4 << 10, 64 << 10, 1 << 20]
           where record <= file
           select new Cell(file, record),
    ];
}
