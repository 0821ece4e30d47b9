namespace StoragePlugins.Journaling;

/// <summary>What a journal's options decide about its session.</summary>
/// <param name="MaxInline">Guest writes of at most this many bytes may ride in the record; 0 for none.</param>
/// <param name="OverlayBytes">Memory for pages that are in the log and not yet home.</param>
public sealed record JournalSettings(int MaxInline, long OverlayBytes)
{
    /// <summary>Whether they do.</summary>
    public DualMode DualMode { get; init; } = DualMode.On;

    /// <summary>Guest bytes that ride in one record by choice. A guest that writes more between two flushes is served better by writing it once.</summary>
    public int MaxInlinePerRecord { get; init; } = 256 << 10;

    /// <summary>
    /// Data that must be in order before a record, up to this much, is copied into the record in place of a barrier before it. A flush of a
    /// consumer SSD costs as much as several hundred KiB written in one piece.
    /// </summary>
    public int MaxCopied { get; init; } = 256 << 10;
}
