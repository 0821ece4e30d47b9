using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.TraceFiles;

/// <summary>Writes the trace of one device as a dm-log-writes log, for replay-log and other programs.</summary>
/// <remarks>
/// Writes stand in the order in which they returned, flushes, barriers and remarks where they were submitted. A write that never returned is left out, as the
/// kernel leaves it out: replayed to its end the log gives what had completed.
/// </remarks>
public static class TraceExport
{
    /// <summary>Writes the log and completes it.</summary>
    /// <param name="trace">What happened. Nobody records into it any more.</param>
    /// <param name="device">Which device of the machine; the image is 0.</param>
    /// <param name="before">The device's content before the trace: what a write widened to whole sectors needs.</param>
    /// <param name="log">Writable and seekable, empty. Stays open.</param>
    /// <param name="name">What messages call it.</param>
    /// <param name="sectorBytes">512 or 4096.</param>
    /// <exception cref="DiagnosticException">SP6024: the trace has stores to mapped memory.</exception>
    /// <exception cref="StorageException">The log cannot be written.</exception>
    public static void Write(Trace trace, int device, ReadOnlySpan<byte> before, Stream log, string name, int sectorBytes = 512)
    {
        if (trace.Events.FirstOrDefault(IsOfMemory) is { } store)
            throw LogProblem.NoRepresentation(name, $"the trace has stores to persistent memory ({store}), and the log format has no entry for them");
        var image = new DeviceImage(before);
        // Not disposed: the stream is the caller's.
        var writer = new DmLogWritesWriter(log, name, image.Read, before.Length, sectorBytes);
        foreach (TraceEvent entry in trace.Events.Where(entry => entry.Device == device && PlaceOf(entry) != TraceEvent.Never).OrderBy(PlaceOf)) Write(writer, image, entry);
        writer.Complete();
    }

    private static bool IsOfMemory(TraceEvent entry) =>
        entry.Kind is TraceKind.Store or TraceKind.StoreNonTemporal or TraceKind.FlushLines or TraceKind.Fence or TraceKind.Persist;

    private static long PlaceOf(TraceEvent entry) => entry.Kind is TraceKind.Flush or TraceKind.Barrier or TraceKind.Mark ? entry.Begin : entry.End;

    private static void Write(DmLogWritesWriter writer, DeviceImage image, TraceEvent entry)
    {
        switch (entry.Kind)
        {
            case TraceKind.Write:
                image.Write(entry.Offset, entry.Data.Span);
                writer.Write(entry.Offset, entry.Data.Span, entry.Content, entry.IsForced);
                break;
            case TraceKind.Zero:
                if (entry.Content == ContentClass.Preallocation && entry.Offset + entry.Length > image.Length)
                {
                    image.Extend(entry.Offset + entry.Length);
                    writer.SetLength(entry.Offset + entry.Length, entry.Content);
                }

                image.Zero(entry.Offset, entry.Length);
                writer.Zero(entry.Offset, entry.Length, entry.Content);
                break;
            case TraceKind.SetLength:
                image.SetLength(entry.Offset);
                writer.SetLength(entry.Offset, entry.Content);
                break;
            case TraceKind.Flush:
                long flush = writer.BeginFlush();
                if (entry.End != TraceEvent.Never) writer.EndFlush(flush, entry.HasFailed);
                break;
            case TraceKind.Barrier:
                long barrier = writer.BeginBarrier();
                if (entry.End != TraceEvent.Never) writer.EndBarrier(barrier, entry.HasFailed);
                break;
            case TraceKind.Mark:
                writer.Mark(entry.Text ?? "");
                break;
        }
    }
}
