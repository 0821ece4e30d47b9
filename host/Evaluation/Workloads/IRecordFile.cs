namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>A file that is written record by record, through the kernel or not.</summary>
internal interface IRecordFile : IDisposable
{
    /// <summary>Writes a record.</summary>
    void Write(ReadOnlySpan<byte> data, long offset);

    /// <summary>Makes what was written durable.</summary>
    void Sync();
}
