using System.Buffers;
using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.TraceFiles;

/// <summary>A log as a trace.</summary>
/// <param name="Trace">Its events, of device 0; each had returned before the next began, for the format logs what completed.</param>
/// <param name="Ticks">For each number of entries, from none to all, the tick at which so many had been taken in.</param>
public sealed record ImportedTrace(Trace Trace, IReadOnlyList<long> Ticks);

/// <summary>Reads a dm-log-writes log as a trace that can be explored.</summary>
/// <remarks>
/// What marks of ours say is restored: exact ranges, lengths, barriers, content classes, flushes that failed. What others wrote is as it stands: a discard
/// reads as zeros, as it does on the file that stands in for the device.
/// </remarks>
public sealed class TraceImport
{
    private readonly DmLogWritesReader _log;
    private readonly Trace _trace = new();
    private readonly List<long> _ticks = [0];
    private LogRemark? _next;
    private long _skip;
    private long _bytes;

    private TraceImport(DmLogWritesReader log) => _log = log;

    /// <summary>Reads the whole log.</summary>
    /// <exception cref="DiagnosticException">SP6021, SP6022: the log is damaged. SP6023: it is larger than a trace may be.</exception>
    public static ImportedTrace Read(DmLogWritesReader log)
    {
        // A flush that carries a write makes two events.
        if (log.EntryCount > Trace.MaxEvents / 2) throw LogProblem.TooLarge(log.Name, "the log has too many entries to be explored", $"at most {Trace.MaxEvents / 2}", $"{log.EntryCount}");
        var import = new TraceImport(log);
        foreach (LoggedEntry entry in log.Entries())
        {
            import.Take(entry);
            import._ticks.Add(import._trace.Now);
        }

        return new ImportedTrace(import._trace, import._ticks);
    }

    private void Take(LoggedEntry entry)
    {
        if (_skip > 0)
        {
            _skip--;
            return;
        }

        if (entry.Text is not null)
        {
            TakeMark(entry);
            return;
        }

        LogRemark? remark = _next;
        _next = null;
        if ((entry.Flags & LogFlags.Flush) != 0) _trace.Add(TraceKind.Flush, 0);
        if (entry.Length == 0) return;
        if ((entry.Flags & LogFlags.Discard) != 0) _trace.Add(TraceKind.Zero, 0, entry.Offset, entry.Length, content: remark?.Content ?? default);
        else TakeWrite(entry, remark);
    }

    private void TakeWrite(LoggedEntry entry, LogRemark? remark)
    {
        (long offset, long length) = remark?.Range ?? (entry.Offset, entry.Length);
        if (offset < entry.Offset || offset + length > entry.Offset + entry.Length)
            throw LogProblem.Malformed(_log.Name, entry.Index, "the mark before it names other bytes", $"bytes of {entry.Offset} to {entry.Offset + entry.Length}", $"{length} bytes at {offset}");
        _bytes += entry.Length;
        if (_bytes > Trace.MaxBytes) throw LogProblem.TooLarge(_log.Name, "the log has too much data to be explored", $"at most {Trace.MaxBytes >> 20} MiB", $"more, at entry {entry.Index} of {_log.EntryCount}");
        byte[] data = ArrayPool<byte>.Shared.Rent((int)entry.Length);
        try
        {
            _log.ReadData(entry, data.AsSpan(0, (int)entry.Length));
            _trace.Add(TraceKind.Write, 0, offset, length, data.AsSpan((int)(offset - entry.Offset), (int)length), remark?.Content ?? default, (entry.Flags & LogFlags.Fua) != 0);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(data);
        }
    }

    private void TakeMark(LoggedEntry entry)
    {
        if (!LogRemark.TryParse(entry.Text!, out LogRemark? remark)) throw LogProblem.Malformed(_log.Name, entry.Index, "a mark of this project that is not understood", found: $"\"{entry.Text}\"");
        if (remark is null)
        {
            _trace.Add(TraceKind.Mark, 0, text: entry.Text);
            return;
        }

        if (remark.Entries > _log.EntryCount - entry.Index - 1) throw LogProblem.Malformed(_log.Name, entry.Index, $"it speaks of {remark.Entries} entries behind it", $"at most {_log.EntryCount - entry.Index - 1}");
        _skip = remark.Entries;
        ContentClass content = remark.Content ?? default;
        if (remark.Zero is var (offset, length)) _trace.Add(TraceKind.Zero, 0, offset, length, content: content);
        else if (remark.Length is { } bytes) _trace.Add(TraceKind.SetLength, 0, bytes, content: content);
        else if (remark.IsFlush) TakeSync(TraceKind.Flush, remark);
        else if (remark.IsBarrier) TakeSync(TraceKind.Barrier, remark);
        else _next = remark;
    }

    private void TakeSync(TraceKind kind, LogRemark remark)
    {
        TraceEvent entry = _trace.Begin(kind, 0);
        if (remark.HasFailed) _trace.Fail(entry);
        else if (!remark.IsPending) _trace.End(entry);
    }
}
