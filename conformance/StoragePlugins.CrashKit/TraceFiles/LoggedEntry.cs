namespace StoragePlugins.CrashKit.TraceFiles;

/// <summary>An entry of a log, without its data.</summary>
/// <param name="Index">Its place in the log, from 0.</param>
/// <param name="Flags">What it is.</param>
/// <param name="Offset">First byte of the image.</param>
/// <param name="Length">Bytes of the image; 0 for a flush alone and for a mark.</param>
/// <param name="DataPosition">Where its data are in the log.</param>
/// <param name="Text">A mark's text; null for others.</param>
public readonly record struct LoggedEntry(long Index, LogFlags Flags, long Offset, long Length, long DataPosition, string? Text)
{
    /// <summary>Data follow it in the log.</summary>
    public bool HasData => Length > 0 && (Flags & LogFlags.Discard) == 0;
}
