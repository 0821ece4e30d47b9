using StoragePlugins;

namespace Samples.SidecarJournal;

/// <summary>The log's file: a header, then records one after the other, emptied by a header of the next generation. Not thread-safe.</summary>
internal sealed class SidecarLog : IDisposable
{
    private const ulong FirstSequence = 1;

    private readonly IStorageMedium _medium;
    private readonly IFlushableMedium _flushable;
    private byte[] _buffer = new byte[16 << 10];
    private LogHeader _header;
    private long _position = LogHeader.AreaBytes;
    private ulong _sequence = FirstSequence;

    private SidecarLog(IStorageMedium medium, LogHeader header)
    {
        (_medium, _header) = (medium, header);
        _flushable = medium.GetCapability<IFlushableMedium>() ?? throw new DiagnosticException("SIDECAR1002", "the journal's medium cannot be flushed", medium.Name, fix: "use another medium");
    }

    /// <summary>Which session's it is.</summary>
    public LogHeader Header => _header;

    /// <summary>What messages call it.</summary>
    public string Name => _medium.Name;

    /// <summary>Whether a transaction fits behind what is there.</summary>
    public bool HasRoomFor(long recordBytes) => recordBytes <= _medium.Length - _position;

    /// <summary>Opens a log that is there.</summary>
    /// <returns>Null when there is no such file, or one that a power cut left before it became a log.</returns>
    /// <exception cref="DiagnosticException">It is in use, or something else.</exception>
    public static SidecarLog? TryOpen(StrategyContext context, string location, bool isReadOnly)
    {
        IStorageMedium medium;
        try
        {
            medium = context.OpenMedium(new MediumRequest { Location = location, ReadOnly = isReadOnly, OpenInner = NoInner });
        }
        catch (DiagnosticException missing) when (missing.InnerException is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }

        try
        {
            if (LogHeader.Read(medium) is { } header) return new SidecarLog(medium, header);
            if (!LogHeader.IsBlank(medium))
                throw new DiagnosticException("SIDECAR1003", "the file is no journal that can be read", location, fix: "move it away, or choose another suffix");
            medium.Dispose();
            return null;
        }
        catch
        {
            medium.Dispose();
            throw;
        }
    }

    /// <summary>Makes a log, or takes a blank file over. Durable on return, name included.</summary>
    public static SidecarLog Make(StrategyContext context, string location, Guid id, long bytes)
    {
        IStorageMedium medium = context.OpenMedium(new MediumRequest { Location = location, Create = true, Truncate = true, OpenInner = NoInner });
        try
        {
            var log = new SidecarLog(medium, new LogHeader(id, Guid.Empty, 1));
            log.Begin(bytes);
            return log;
        }
        catch
        {
            medium.Dispose();
            throw;
        }
    }

    /// <summary>Becomes the log of another session. All that it holds must be home and durable. Durable on return.</summary>
    /// <param name="id">The session.</param>
    /// <param name="marked">The session that the image's mark still names; empty when it names none.</param>
    /// <param name="bytes">What the file is to have at least.</param>
    public void Become(Guid id, Guid marked, long bytes)
    {
        _header = new LogHeader(id, marked, _header.Generation + 1);
        Begin(bytes);
    }

    /// <summary>Empties the log. All that it holds must be home and durable. Durable on return.</summary>
    public void Empty()
    {
        LogHeader next = _header with { Generation = _header.Generation + 1 };
        next.Write(_medium);
        _flushable.FlushData();
        (_header, _position, _sequence) = (next, LogHeader.AreaBytes, FirstSequence);
    }

    /// <summary>Writes a transaction behind the others. Not durable before <see cref="Flush"/>.</summary>
    public void Append(MetadataTransaction transaction)
    {
        int length = checked((int)LogRecord.Length(transaction));
        if (_buffer.Length < length) _buffer = new byte[Math.Max(length, 2 * _buffer.Length)];
        Span<byte> record = _buffer.AsSpan(0, length);
        LogRecord.Write(record, transaction, _header, _sequence);
        _medium.Write(_position, record, ContentClass.JournalRecord);
        _position += length;
        _sequence++;
    }

    /// <summary>Makes the records durable.</summary>
    public void Flush() => _flushable.FlushData();

    /// <summary>The records of this generation, as far as a power cut let them come.</summary>
    /// <exception cref="DiagnosticException">A later record is valid behind one that is not: each was flushed before the next was written, so no power cut did that.</exception>
    public List<ReadOnlyMemory<byte>> ReadRecords()
    {
        byte[] log = new byte[Math.Clamp(_medium.Length - LogHeader.AreaBytes, 0, SidecarOptions.MostLogBytes)];
        int end = _medium.Read(LogHeader.AreaBytes, log);
        var records = new List<ReadOnlyMemory<byte>>();
        int at = 0;
        for (ulong sequence = FirstSequence; LogRecord.Recognize(log.AsSpan(at, end - at), _header, sequence, out ulong found) is > 0 and int length && found == sequence; sequence++)
        {
            records.Add(log.AsMemory(at, length));
            at += length;
        }

        ulong next = FirstSequence + (ulong)records.Count;
        for (int later = at; later < end; later += LogRecord.SectorBytes)
        {
            if (LogRecord.Recognize(log.AsSpan(later, end - later), _header, next, out ulong found) == 0) continue;
            throw new DiagnosticException(
                "SIDECAR1004", "the journal is damaged", Name, $"record {next} at byte {LogHeader.AreaBytes + at}", $"record {found} at byte {LogHeader.AreaBytes + later}, and nothing valid before it",
                "restore the image and its journal from copies");
        }

        return records;
    }

    /// <summary>The records that this session appended since the log was last emptied.</summary>
    public IEnumerable<ReadOnlyMemory<byte>> ReadCommitted()
    {
        List<ReadOnlyMemory<byte>> records = ReadRecords();
        int appended = (int)(_sequence - FirstSequence);
        if (records.Count < appended)
            throw new StorageException(StorageError.Io, "read", Name, LogHeader.AreaBytes, (int)(_position - LogHeader.AreaBytes), $"{records.Count} of {appended} records are whole");
        return records.Take(appended);
    }

    /// <summary>Ends the log and takes its file away.</summary>
    public void Remove()
    {
        _medium.GetCapability<IRemovableMedium>()?.Remove();
        Dispose();
    }

    public void Dispose() => _medium.Dispose();

    private void Begin(long bytes)
    {
        long length = Math.Max(bytes, LogHeader.AreaBytes + LogRecord.SectorBytes);
        if (_medium.Length < length)
        {
            // Written extents where the medium has them: the first write into any other kind costs the host's file system a commit at the next flush.
            if (_medium.GetCapability<IPreallocatingMedium>() is { } preallocating) preallocating.Preallocate(_medium.Length, length - _medium.Length);
            else _medium.SetLength(length);
        }

        _header.Write(_medium);
        _flushable.FlushAll();
        (_position, _sequence) = (LogHeader.AreaBytes, FirstSequence);
    }

    private static IStorageMedium NoInner() => throw new InvalidOperationException("The media of the pipeline give each layer the next one.");
}
