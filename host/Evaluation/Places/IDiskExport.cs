using StoragePlugins.Host.Comparison;

namespace StoragePlugins.Host.Evaluation.Places;

/// <summary>A contender's disk as a file of the host. Disposing without <see cref="Close"/> abandons it.</summary>
internal interface IDiskExport : IDisposable
{
    /// <summary>The disk.</summary>
    string File { get; }

    /// <summary>What reached the host's storage since it was opened; null where nobody counts.</summary>
    StorageCounts? Counts { get; }

    /// <summary>Ends it cleanly; nobody uses <see cref="File"/> any more.</summary>
    void Close();
}
