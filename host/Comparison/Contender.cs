namespace StoragePlugins.Host.Comparison;

/// <summary>What is compared: a pipeline of ours or a reference.</summary>
internal abstract class Contender
{
    /// <summary>As in the table.</summary>
    public abstract string Name { get; }

    /// <summary>One sentence.</summary>
    public abstract string Description { get; }

    /// <summary>How its flushes and bytes were counted.</summary>
    public abstract string CountedBy { get; }

    /// <summary>A peer, not one of our pipelines.</summary>
    public abstract bool IsReference { get; }

    /// <summary>Whether the disk that is timed also counts. Otherwise <see cref="OpenCounting"/> makes one that does.</summary>
    public abstract bool CountsWhileTimed { get; }

    /// <summary>Why it cannot run a workload; null when it can.</summary>
    public abstract string? Lacks(Workload workload);

    /// <summary>Makes a fresh image for a workload in an empty folder, durable on return.</summary>
    public abstract void Prepare(Workload workload, PreparedRun run);

    /// <summary>Opens the image to be timed.</summary>
    public abstract IMeasuredDisk Open(PreparedRun run);

    /// <summary>Opens the image so that flushes and bytes are counted; the time is not taken.</summary>
    public virtual IMeasuredDisk OpenCounting(PreparedRun run) => Open(run);

    /// <summary>Lets go of an image that is not a file in the folder.</summary>
    public virtual void Forget(PreparedRun run)
    {
    }
}

/// <summary>Where one run happens and what it does.</summary>
/// <param name="Folder">For the image; empty before it is prepared, gone after the run. The same for all runs of a contender.</param>
/// <param name="Sockets">Folder with a short name for sockets.</param>
/// <param name="DiskBytes">Size of the disk.</param>
/// <param name="AreaBytes">How much is written before, where the workload wants that.</param>
/// <param name="Offsets">What will be written.</param>
/// <param name="Cancel">Ends it.</param>
internal sealed record PreparedRun(string Folder, string Sockets, long DiskBytes, long AreaBytes, long[][] Offsets, CancellationToken Cancel)
{
    /// <summary>The image.</summary>
    public string Image => Path.Combine(Folder, "disk.img");

    /// <summary>The area, block by block.</summary>
    public IEnumerable<(long Offset, int Length)> AreaBlocks()
    {
        for (long offset = 0; offset < AreaBytes; offset += Workload.BlockBytes) yield return (offset, Workload.BlockBytes);
    }
}
