namespace StoragePlugins.Journaling;

/// <summary>
/// Flushes and barriers of home, and what is known between them: whether anything was written since, and what a flush that was skipped would have missed.
/// </summary>
/// <remarks>The notes are made by any thread after its write returned; syncs come from one thread at a time, except <see cref="FlushCheckpoint"/>.</remarks>
internal sealed class HomeSync(IOrderedMedium home)
{
    private volatile Exception? _failure;
    private int _unflushed = 1;
    private int _unflushedData = 1;
    private int _unorderedData = 1;
    private ulong _written;
    private ulong _durableByItself;

    /// <summary>Something was written since the last flush began.</summary>
    public bool IsUnflushed => Volatile.Read(ref _unflushed) != 0;

    /// <summary>Something that is in no record was written since the last flush began.</summary>
    public bool HasUnflushedData => Volatile.Read(ref _unflushedData) != 0;

    /// <summary>The same since the last flush or barrier.</summary>
    public bool HasUnorderedData => Volatile.Read(ref _unorderedData) != 0;

    /// <summary>The newest record whose after-images were written home by a checkpoint that ended.</summary>
    public ulong Written => Volatile.Read(ref _written);

    /// <summary>The newest record that persisted at home before anything that is written now: what the next record's tail may say.</summary>
    /// <remarks>For the committing thread.</remarks>
    public ulong Checkpointed { get; private set; }

    public void ThrowIfPoisoned()
    {
        if (_failure is { } failure)
            throw new DurabilityLostException("commit", home.Name, $"an earlier flush or barrier failed ({failure.Message}); close the disk, check the device and open it again", failure);
    }

    /// <summary>A direct write returned.</summary>
    public void NoteDirect()
    {
        Volatile.Write(ref _unorderedData, 1);
        Volatile.Write(ref _unflushedData, 1);
        Volatile.Write(ref _unflushed, 1);
    }

    /// <summary>A record was appended to a log in home, or a checkpoint wrote something.</summary>
    public void NoteWritten() => Volatile.Write(ref _unflushed, 1);

    /// <summary>A checkpoint of everything up to a record has been written.</summary>
    public void NoteCheckpoint(ulong txid) => Volatile.Write(ref _written, txid);

    public void Sync(CommitGoal goal)
    {
        ThrowIfPoisoned();
        ulong written = Written;
        try
        {
            Volatile.Write(ref _unorderedData, 0);
            if (goal == CommitGoal.Durable)
            {
                Volatile.Write(ref _unflushed, 0);
                Volatile.Write(ref _unflushedData, 0);
                Interlocked.MemoryBarrier();
                home.Flush();
            }
            else
            {
                Interlocked.MemoryBarrier();
                home.Barrier();
            }
        }
        catch (Exception e)
        {
            _failure ??= e;
            throw;
        }

        Checkpointed = Math.Max(Checkpointed, written);
    }

    /// <summary>Makes a checkpoint durable without a commit; for a log that needs no flush of home, from the checkpoint's thread.</summary>
    public void FlushCheckpoint()
    {
        ThrowIfPoisoned();
        ulong written = Written;
        try
        {
            home.Flush();
        }
        catch (Exception e)
        {
            _failure ??= e;
            throw;
        }

        Volatile.Write(ref _durableByItself, written);
    }

    /// <summary>For the committing thread: takes over what <see cref="FlushCheckpoint"/> has done.</summary>
    public void TakeOverCheckpoint() => Checkpointed = Math.Max(Checkpointed, Volatile.Read(ref _durableByItself));

    public void Poison(Exception failure) => _failure ??= failure;
}
