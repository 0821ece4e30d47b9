using System.Buffers.Binary;
using System.Text;

namespace StoragePlugins.CrashKit.TraceFiles;

/// <summary>Reads a dm-log-writes log: of QEMU's blklogwrites, of the kernel's dm-log-writes, of the medium <c>record</c>.</summary>
/// <remarks>Nothing in the log is trusted. Memory: one sector; data are read when they are asked for. Not thread-safe.</remarks>
public sealed class DmLogWritesReader : IDisposable
{
    private readonly Stream _log;
    private readonly long _end;
    private readonly byte[] _sector;

    /// <summary>Reads the super.</summary>
    /// <param name="log">Readable and seekable; disposed with this.</param>
    /// <param name="name">What messages call it.</param>
    /// <exception cref="DiagnosticException">SP6020: it is no such log.</exception>
    public DmLogWritesReader(Stream log, string name)
    {
        (_log, Name, _end) = (log, name, log.Length);
        Span<byte> super = stackalloc byte[LogLayout.SuperBytes];
        if (_end < super.Length) throw LogProblem.NotALog(name, "this is no dm-log-writes log: it has no super", $"at least {super.Length} bytes", $"{_end}");
        ReadAt(0, super);
        ulong magic = BinaryPrimitives.ReadUInt64LittleEndian(super), version = BinaryPrimitives.ReadUInt64LittleEndian(super[8..]);
        uint sectorBytes = BinaryPrimitives.ReadUInt32LittleEndian(super[24..]);
        EntryCount = BinaryPrimitives.ReadInt64LittleEndian(super[16..]);
        if (magic != LogLayout.Magic) throw LogProblem.NotALog(name, "this is no dm-log-writes log: its magic is another", $"0x{LogLayout.Magic:x}", $"0x{magic:x}");
        if (version != LogLayout.Version) throw LogProblem.NotALog(name, "the version of the log is not known", $"{LogLayout.Version}", $"{version}");
        if (sectorBytes is < LogLayout.MinSectorBytes or > LogLayout.MaxSectorBytes || (sectorBytes & (sectorBytes - 1)) != 0)
            throw LogProblem.NotALog(name, "the sector size of the log is impossible", $"a power of two from {LogLayout.MinSectorBytes} to {LogLayout.MaxSectorBytes}", $"{sectorBytes}");
        _sector = new byte[sectorBytes];
        // Each entry takes a sector at least.
        if (EntryCount < 0 || EntryCount > _end / sectorBytes)
            throw LogProblem.NotALog(name, "the log counts more entries than it has room for", $"at most {_end / sectorBytes} in {_end} bytes", $"{(ulong)EntryCount}");
    }

    /// <summary>Opens a file.</summary>
    /// <exception cref="DiagnosticException">SP5001: it cannot be opened. SP6020: it is no such log.</exception>
    public static DmLogWritesReader Open(string path)
    {
        FileStream file;
        try
        {
            file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DiagnosticException("SP5001", "the log cannot be opened", path, found: e.Message, fix: "check the path and its permissions", inner: e);
        }

        try
        {
            return new DmLogWritesReader(file, path);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>What messages call it.</summary>
    public string Name { get; }

    /// <summary>Bytes of a sector.</summary>
    public int SectorBytes => _sector.Length;

    /// <summary>Entries, as the super counts them: those up to the last flush, or all of a log that was closed.</summary>
    public long EntryCount { get; }

    /// <summary>All entries from the first, lazily.</summary>
    /// <exception cref="DiagnosticException">SP6021: the log ends too early. SP6022: an entry makes no sense.</exception>
    public IEnumerable<LoggedEntry> Entries()
    {
        long position = SectorBytes;
        for (long index = 0; index < EntryCount; index++)
        {
            LoggedEntry entry = ReadEntry(index, position);
            yield return entry;
            position = entry.DataPosition + (entry.HasData ? entry.Length : 0);
        }
    }

    /// <summary>Reads an entry's data.</summary>
    /// <param name="entry">One with data.</param>
    /// <param name="buffer">As long as the entry, or shorter for its beginning.</param>
    public void ReadData(LoggedEntry entry, Span<byte> buffer) => ReadAt(entry.DataPosition, buffer);

    /// <summary>Closes the log.</summary>
    public void Dispose() => _log.Dispose();

    private LoggedEntry ReadEntry(long index, long position)
    {
        if (position > _end - SectorBytes) throw LogProblem.Truncated(Name, index, EntryCount, position + SectorBytes, _end);
        ReadAt(position, _sector);
        ulong first = BinaryPrimitives.ReadUInt64LittleEndian(_sector), count = BinaryPrimitives.ReadUInt64LittleEndian(_sector.AsSpan(8));
        var flags = (LogFlags)BinaryPrimitives.ReadInt64LittleEndian(_sector.AsSpan(16));
        ulong dataBytes = BinaryPrimitives.ReadUInt64LittleEndian(_sector.AsSpan(24));
        ulong most = (ulong)long.MaxValue / (ulong)SectorBytes;
        if ((flags & ~LogLayout.KnownFlags) != 0) throw LogProblem.Malformed(Name, index, "unknown flags", $"0x{(long)LogLayout.KnownFlags:x} at most", $"0x{(long)flags:x}");
        if (first > most || count > most - first) throw LogProblem.Malformed(Name, index, $"its range of {count} sectors at {first} ends behind 2^63 bytes");
        position += SectorBytes;
        var entry = new LoggedEntry(index, flags, (long)first * SectorBytes, (long)count * SectorBytes, position, null);
        if ((flags & LogFlags.Mark) != 0) return entry with { Text = TextOf(index, count, dataBytes) };
        // Zero with data behind it is how the kernel and QEMU write it; DAX writes of the kernel say the length.
        if (dataBytes != 0 && dataBytes != (ulong)entry.Length) throw LogProblem.Malformed(Name, index, "its data length", $"0 or {entry.Length}", $"{dataBytes}");
        if (entry.HasData && entry.Length > _end - position) throw LogProblem.Truncated(Name, index, EntryCount, position + entry.Length, _end);
        return entry;
    }

    private string TextOf(long index, ulong sectors, ulong length)
    {
        if (sectors != 0) throw LogProblem.Malformed(Name, index, "a mark has a range", "0 sectors", $"{sectors}");
        Span<byte> text = _sector.AsSpan(LogLayout.EntryBytes);
        if (length > (ulong)text.Length) throw LogProblem.Malformed(Name, index, "the text of a mark is longer than its sector", $"at most {text.Length} bytes", $"{length}");
        // A recorder that leaves the length at 0 ends the text with a zero byte.
        text = length > 0 ? text[..(int)length] : text.IndexOf((byte)0) is var end and >= 0 ? text[..end] : text;
        return Encoding.UTF8.GetString(text);
    }

    private void ReadAt(long position, Span<byte> buffer)
    {
        try
        {
            _log.Position = position;
            _log.ReadExactly(buffer);
        }
        catch (IOException e)
        {
            throw new StorageException(StorageError.Io, "read", Name, position, buffer.Length, e.Message, e);
        }
    }
}
