namespace StoragePlugins.Journaling;

/// <summary>What a session has done. Each figure is exact; together they are of about the same moment.</summary>
public sealed class JournalStatistics
{
    private long _records, _recordBytes, _checkpoints, _checkpointBytes, _copiedBytes, _fullLogs;

    /// <summary>Records appended, empty ones included.</summary>
    public long Records => Interlocked.Read(ref _records);

    /// <summary>Their bytes in the log, padding included.</summary>
    public long RecordBytes => Interlocked.Read(ref _recordBytes);

    /// <summary>Checkpoints that ended.</summary>
    public long Checkpoints => Interlocked.Read(ref _checkpoints);

    /// <summary>Bytes that checkpoints wrote home.</summary>
    public long CheckpointBytes => Interlocked.Read(ref _checkpointBytes);

    /// <summary>Bytes of data copied into records in place of a barrier.</summary>
    public long CopiedBytes => Interlocked.Read(ref _copiedBytes);

    /// <summary>Commits that found the log full and had to wait for a checkpoint.</summary>
    public long FullLogs => Interlocked.Read(ref _fullLogs);

    internal void CountRecord(long bytes)
    {
        Interlocked.Increment(ref _records);
        Interlocked.Add(ref _recordBytes, bytes);
    }

    internal void CountCheckpoint() => Interlocked.Increment(ref _checkpoints);

    internal void CountCheckpointBytes(long bytes) => Interlocked.Add(ref _checkpointBytes, bytes);

    internal void CountCopied(long bytes) => Interlocked.Add(ref _copiedBytes, bytes);

    internal void CountFullLog() => Interlocked.Increment(ref _fullLogs);
}
