using System.Text;

namespace StoragePlugins.CrashKit.TraceFiles;

/// <summary>Reads the present content of the recorded image; short at its end.</summary>
public delegate int SectorReader(long offset, Span<byte> buffer);

/// <summary>
/// Writes a dm-log-writes log as things happen: what completed, in the order of completion, flushes at the place where they were submitted.
/// </summary>
/// <remarks>
/// <para>The format knows whole sectors. A write that begins or ends inside one is widened by what the image holds there, which is asked for after the write; a
/// mark before the entry says which bytes were written. Marks carry the rest that the format has no entry for as well (docs/trace-files.md).</para>
/// <para>The super counts the entries up to the last flush, and at <see cref="Complete"/> all. What a killed process had written since its last flush
/// is in the file and not counted. Nothing is synced before <see cref="Complete"/>: the log survives its process, not the machine.</para>
/// <para>Thread-safe. Nothing is allocated per entry. After an I/O error the log has a hole: the error is final, every later call throws it.</para>
/// </remarks>
public sealed class DmLogWritesWriter : IDisposable
{
    // In sectors, at most: a mark; a head, a middle and a tail with an entry each; the data of head and tail.
    private const int CostOfOne = 6;

    private const int NoSpaceErrno = 28;
    private const int QuotaErrno = 122;
    private const int FileSizeErrno = 27;

    private readonly Lock _gate = new();
    private readonly Stream _log;
    private readonly string _name;
    private readonly SectorReader _image;
    private readonly long _maxBytes;
    private readonly byte[] _header;
    private readonly byte[] _edge;
    private long _end;
    private long _length;
    private long _claimed;
    private long _entries;
    private StorageException? _failure;

    /// <summary>Begins a log at the start of a stream, and writes its super.</summary>
    /// <param name="log">Writable and seekable; disposed with this.</param>
    /// <param name="name">What messages call it.</param>
    /// <param name="image">What the image holds now.</param>
    /// <param name="length">The image's length before the first entry.</param>
    /// <param name="sectorBytes">512 or 4096.</param>
    /// <param name="maxBytes">The most bytes that <see cref="Claim"/> grants.</param>
    /// <exception cref="StorageException">The super cannot be written.</exception>
    public DmLogWritesWriter(Stream log, string name, SectorReader image, long length, int sectorBytes = 512, long maxBytes = long.MaxValue)
    {
        if (sectorBytes is not (512 or 4096)) throw new ArgumentOutOfRangeException(nameof(sectorBytes), sectorBytes, "512 or 4096");
        (_log, _name, _image, _length, _maxBytes) = (log, name, image, length, maxBytes);
        _header = new byte[sectorBytes];
        _edge = new byte[sectorBytes];
        _end = sectorBytes;
        lock (_gate) WriteSuper();
    }

    /// <summary>Bytes of a sector.</summary>
    public int SectorBytes => _header.Length;

    /// <summary>Entries so far, marks included.</summary>
    public long Entries
    {
        get
        {
            lock (_gate) return _entries;
        }
    }

    /// <summary>The bytes that an operation takes in the log at most.</summary>
    /// <param name="dataBytes">What it writes; 0 for what has no data.</param>
    public long CostOf(long dataBytes) => dataBytes + (CostOfOne * SectorBytes);

    /// <summary>Sets room aside before something is done that has to be logged. Given back by <see cref="Release"/> when it is logged, or was not done.</summary>
    /// <exception cref="StorageException">The log has reached its bound, or failed before.</exception>
    public void Claim(long bytes)
    {
        lock (_gate)
        {
            ThrowIfFailed();
            if (bytes > _maxBytes - _end - _claimed)
                throw new StorageException(StorageError.NoSpace, "record", _name, _end, bytes, $"the log has reached its bound of {_maxBytes} bytes");
            _claimed += bytes;
        }
    }

    /// <summary>Gives a claim back.</summary>
    public void Release(long bytes)
    {
        lock (_gate) _claimed -= bytes;
    }

    /// <summary>Logs a write that has returned.</summary>
    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content, bool isForced = false)
    {
        if (data.IsEmpty) return;
        lock (_gate)
        {
            ThrowIfFailed();
            var text = new LogRemark.Text(stackalloc byte[LogRemark.MaxBytes]);
            text.Add(content);
            if ((offset | (long)data.Length) % SectorBytes != 0) text.Add("range="u8, offset, data.Length);
            if (!text.IsEmpty) AppendMark(text.Bytes);
            AppendWrite(offset, data, isForced ? LogFlags.Fua : LogFlags.None);
            _length = Math.Max(_length, offset + data.Length);
        }
    }

    /// <summary>Logs what a range holds after a write to it failed, which may be anything. Where there is no room for it, the log ends here.</summary>
    public void WriteAsFound(long offset, long length, ContentClass content)
    {
        if (length <= 0) return;
        lock (_gate)
        {
            ThrowIfFailed();
            var text = new LogRemark.Text(stackalloc byte[LogRemark.MaxBytes]);
            text.Add(content);
            if ((offset | length) % SectorBytes != 0) text.Add("range="u8, offset, length);
            if (CostOf(length) > _maxBytes - _end) throw Fail(new IOException($"what a failed request left does not fit into its bound of {_maxBytes} bytes", NoSpaceErrno));
            if (!text.IsEmpty) AppendMark(text.Bytes);
            long first = offset / SectorBytes, end = (offset + length + SectorBytes - 1) / SectorBytes;
            AppendHeader(first, end - first, LogFlags.None);
            for (long sector = first; sector < end; sector++)
            {
                ReadEdge(sector * SectorBytes);
                Put(_edge);
            }

            _entries++;
            _length = Math.Max(_length, offset + length);
        }
    }

    /// <summary>Logs a range that was made to read as zeros.</summary>
    public void Zero(long offset, long length, ContentClass content)
    {
        if (length <= 0) return;
        lock (_gate)
        {
            ThrowIfFailed();
            var text = new LogRemark.Text(stackalloc byte[LogRemark.MaxBytes]);
            if ((offset | length) % SectorBytes != 0)
            {
                text.Add("zero="u8, offset, length);
                text.Add("entries="u8, ZeroedPieces(offset, length));
            }

            text.Add(content);
            if (!text.IsEmpty) AppendMark(text.Bytes);
            AppendZeros(offset, length);
        }
    }

    /// <summary>Logs that the image's length was set. What was cut off is zeroed for programs that know no lengths.</summary>
    public void SetLength(long length, ContentClass content = ContentClass.GuestData)
    {
        lock (_gate)
        {
            ThrowIfFailed();
            AppendLength(length, content);
        }
    }

    /// <summary>Logs that the image grew to at least this length, unless something logged before has done so.</summary>
    public void GrowTo(long length, ContentClass content)
    {
        lock (_gate)
        {
            ThrowIfFailed();
            if (length > _length) AppendLength(length, content);
        }
    }

    /// <summary>Takes the place in the log of a flush that is now submitted: what returned before stands before it, what returns later behind.</summary>
    /// <returns>To be given to <see cref="EndFlush"/>.</returns>
    public long BeginFlush() => BeginSync("sp:flush;pending"u8);

    /// <summary>Says how a flush ended. Until then its place holds a mark; a flush that failed keeps one.</summary>
    public void EndFlush(long place, bool hasFailed)
    {
        if (hasFailed) EndSync(place, LogFlags.Mark, "sp:flush;failed"u8);
        else EndSync(place, LogFlags.Flush, []);
    }

    /// <summary>Takes the place in the log of a barrier.</summary>
    public long BeginBarrier() => BeginSync("sp:barrier;pending"u8);

    /// <summary>Says how a barrier ended.</summary>
    public void EndBarrier(long place, bool hasFailed) => EndSync(place, LogFlags.Mark, hasFailed ? "sp:barrier;failed"u8 : "sp:barrier"u8);

    /// <summary>Logs a remark; cut where it is longer than a sector has room.</summary>
    public void Mark(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        lock (_gate)
        {
            ThrowIfFailed();
            AppendMark(bytes.AsSpan(0, Math.Min(bytes.Length, SectorBytes - LogLayout.EntryBytes - 1)));
        }
    }

    /// <summary>Counts all entries in the super and makes the log durable where it is a file.</summary>
    /// <exception cref="StorageException">It failed, now or before: the log is not whole.</exception>
    public void Complete()
    {
        lock (_gate)
        {
            ThrowIfFailed();
            WriteSuper();
            try
            {
                if (_log is FileStream file) file.Flush(flushToDisk: true);
                else _log.Flush();
            }
            catch (IOException e)
            {
                throw Fail(e);
            }
        }
    }

    /// <summary>Closes the stream. Does not complete the log.</summary>
    public void Dispose() => _log.Dispose();

    private long BeginSync(ReadOnlySpan<byte> pending)
    {
        lock (_gate)
        {
            ThrowIfFailed();
            long place = _end;
            AppendMark(pending);
            return place;
        }
    }

    private void EndSync(long place, LogFlags flags, ReadOnlySpan<byte> text)
    {
        lock (_gate)
        {
            ThrowIfFailed();
            LogLayout.WriteEntry(_header, 0, 0, flags, text);
            PutAt(place, _header);
            WriteSuper();
        }
    }

    // Head and tail that are no whole sectors, and what is between.
    private int ZeroedPieces(long offset, long length)
    {
        long first = offset / SectorBytes, end = offset + length, last = (end - 1) / SectorBytes;
        bool isHeadCut = offset % SectorBytes != 0, isTailCut = end % SectorBytes != 0;
        if (first == last) return 1;
        long whole = last - first + 1 - (isHeadCut ? 1 : 0) - (isTailCut ? 1 : 0);
        return (isHeadCut ? 1 : 0) + (whole > 0 ? 1 : 0) + (isTailCut ? 1 : 0);
    }

    private void AppendLength(long length, ContentClass content)
    {
        long end = (_length + SectorBytes - 1) / SectorBytes * SectorBytes;
        bool isCut = length < _length;
        var text = new LogRemark.Text(stackalloc byte[LogRemark.MaxBytes]);
        text.Add("length="u8, length);
        if (isCut) text.Add("entries="u8, ZeroedPieces(length, end - length));
        text.Add(content);
        AppendMark(text.Bytes);
        if (isCut) AppendZeros(length, end - length);
        _length = length;
    }

    private void AppendZeros(long offset, long length)
    {
        long end = offset + length;
        while (offset < end)
        {
            long sector = offset / SectorBytes * SectorBytes, next = Math.Min(end, sector + SectorBytes);
            if (offset == sector && end - offset >= SectorBytes)
            {
                next = end / SectorBytes * SectorBytes;
                AppendHeader(offset / SectorBytes, (next - offset) / SectorBytes, LogFlags.Discard);
            }
            else
            {
                AppendHeader(sector / SectorBytes, 1, LogFlags.None);
                ReadEdge(sector);
                _edge.AsSpan((int)(offset - sector), (int)(next - offset)).Clear();
                Put(_edge);
            }

            _entries++;
            offset = next;
        }
    }

    private void AppendWrite(long offset, ReadOnlySpan<byte> data, LogFlags flags)
    {
        long first = offset / SectorBytes, end = offset + data.Length, count = ((end + SectorBytes - 1) / SectorBytes) - first;
        AppendHeader(first, count, flags);
        while (!data.IsEmpty)
        {
            int into = (int)(offset % SectorBytes), part = data.Length / SectorBytes * SectorBytes;
            if (into == 0 && part > 0)
            {
                Put(data[..part]);
            }
            else
            {
                part = Math.Min(data.Length, SectorBytes - into);
                ReadEdge(offset - into);
                data[..part].CopyTo(_edge.AsSpan(into));
                Put(_edge);
            }

            data = data[part..];
            offset += part;
        }

        _entries++;
    }

    private void ReadEdge(long sector)
    {
        try
        {
            int there = _image(sector, _edge);
            _edge.AsSpan(there).Clear();
        }
        catch (StorageException e)
        {
            throw Fail(e);
        }
    }

    private void AppendMark(ReadOnlySpan<byte> text)
    {
        LogLayout.WriteEntry(_header, 0, 0, LogFlags.Mark, text);
        Put(_header);
        _entries++;
    }

    private void AppendHeader(long first, long count, LogFlags flags)
    {
        LogLayout.WriteEntry(_header, first, count, flags);
        Put(_header);
    }

    private void Put(ReadOnlySpan<byte> bytes)
    {
        PutAt(_end, bytes);
        _end += bytes.Length;
    }

    private void PutAt(long position, ReadOnlySpan<byte> bytes)
    {
        try
        {
            _log.Position = position;
            _log.Write(bytes);
        }
        catch (IOException e)
        {
            throw Fail(e);
        }
    }

    private void WriteSuper()
    {
        LogLayout.WriteSuper(_header, _entries);
        PutAt(0, _header);
    }

    private void ThrowIfFailed()
    {
        if (_failure is not null) throw new StorageException(_failure.Error, "record", _name, -1, 0, $"the log has a hole since an earlier error: {_failure.Message}", _failure);
    }

    // The base class library leaves the errno in HResult.
    private StorageException Fail(IOException cause)
    {
        StorageError error = cause.HResult is NoSpaceErrno or QuotaErrno or FileSizeErrno ? StorageError.NoSpace : StorageError.Io;
        return _failure = new StorageException(error, "record", _name, _end, 0, cause.Message, cause);
    }
}
