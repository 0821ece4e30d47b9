namespace StoragePlugins.Host.Comparison;

/// <summary>A disk that is served over NBD for as long as it is measured. Disposing without <see cref="Close"/> abandons it.</summary>
internal interface IMeasuredDisk : IDisposable
{
    /// <summary>What has reached the host's storage since the disk was opened; <see langword="null"/> where nobody counts.</summary>
    StorageCounts? Counts { get; }

    /// <summary>Connects a client. All clients connect before the first one leaves.</summary>
    NbdClient Connect();

    /// <summary>Ends it cleanly; its clients have left. <see cref="Counts"/> is complete afterwards.</summary>
    void Close();
}
