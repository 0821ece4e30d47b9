namespace StoragePlugins.BarrierOverheadBench;

/// <summary>A write and a flush over NBD, somewhere in an area or always behind the last one.</summary>
internal sealed class BlockLoad(string name, string description, BlockLoadPattern pattern) : Load(name, description)
{
    // Appending loads of one disk begin where no other load has been.
    private const long AppendStart = 1L << 30;

    /// <summary>The loads of the block device.</summary>
    public static IReadOnlyList<Load> All { get; } =
    [
        new BlockLoad("block overwrite", "64 KiB at random over written clusters, then a flush", BlockLoadPattern.Overwrite),
        new BlockLoad("block append", "64 KiB to a fresh cluster, then a flush", BlockLoadPattern.Append),
    ];

    public override IPreparedLoad Prepare(Volume volume)
    {
        var block = (BlockVolume)volume;
        Record.CopyTo(block.Client.Payload);
        if (pattern == BlockLoadPattern.Append) return new Prepared(block, null);
        for (int record = 0; record < AreaRecords; record++) block.Client.Write((long)record * RecordBytes, RecordBytes);
        block.Client.Flush();
        return new Prepared(block, Shuffled());
    }

    private sealed class Prepared(BlockVolume volume, long[]? offsets) : IPreparedLoad
    {
        private long _next;

        public void Run(int operations)
        {
            for (int i = 0; i < operations; i++)
            {
                volume.Client.Write(offsets is null ? AppendStart + (_next * RecordBytes) : offsets[_next % offsets.Length], RecordBytes);
                volume.Client.Flush();
                _next++;
            }
        }

        public void Dispose()
        {
        }
    }
}

/// <summary>Where a <see cref="BlockLoad"/> writes.</summary>
internal enum BlockLoadPattern
{
    /// <summary>Over clusters that are there.</summary>
    Overwrite = 0,

    /// <summary>To fresh ones.</summary>
    Append,
}
