namespace StoragePlugins.PmFileSystemBench;

/// <summary>What is measured: something that holds files. Used by one thread.</summary>
internal interface IBenchVolume : IDisposable
{
    /// <summary>As the tables call it.</summary>
    string Name { get; }

    /// <summary>Makes an empty file that does not exist yet, and opens it.</summary>
    /// <param name="name">A plain name.</param>
    /// <param name="synchronous">Every write is durable, data and metadata, when it returns (O_SYNC).</param>
    IBenchFile Create(string name, bool synchronous);

    /// <summary>Opens a file for writing.</summary>
    IBenchFile Open(string name, bool synchronous);

    /// <summary>Deletes a file.</summary>
    void Delete(string name);

    /// <summary>Waits until nothing of what was done before still runs in the background. Never inside a measured time.</summary>
    void Settle();
}

/// <summary>An open file; disposing closes it.</summary>
internal interface IBenchFile : IDisposable
{
    /// <summary>Writes all of it there.</summary>
    void Write(long offset, ReadOnlySpan<byte> data);

    /// <summary>What was written is durable on return (fsync).</summary>
    void Flush();
}
