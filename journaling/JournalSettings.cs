namespace StoragePlugins.Journaling;

/// <summary>How a session uses memory.</summary>
public sealed record JournalSettings
{
    /// <summary>Guest writes of up to this many bytes ride in records (dual mode); 0 for none.</summary>
    public int MaxInlineBytes { get; init; }

    /// <summary>
    /// Guest bytes that may ride in one record; what is written beyond them before the next commit goes home. A guest that syncs small writes, alone or
    /// sixteen at a time, stays below; one that writes without syncing must not have everything written twice.
    /// </summary>
    public int MaxPendingBytes { get; init; } = 1 << 20;

    /// <summary>Memory for pages that are not home yet; one transaction's metadata may exceed it.</summary>
    public long OverlayBytes { get; init; } = 16 << 20;
}
