namespace StoragePlugins.BarrierOverheadBench;

/// <summary>A contender's disk, open for as long as it is measured.</summary>
internal abstract class Volume(Contender contender) : IDisposable
{
    /// <summary>Whose.</summary>
    public Contender Contender => contender;

    /// <summary>Size of every disk: room for all loads.</summary>
    public const long DiskBytes = 16L << 30;

    /// <summary>What it did since it was opened.</summary>
    public abstract Counts Counts { get; }

    /// <summary>Lets the disk do what it still has to do, outside the measured time.</summary>
    public abstract void Settle();

    /// <inheritdoc/>
    public abstract void Dispose();
}
