using System.Buffers.Binary;
using StoragePlugins.CrashKit.TraceFiles;

namespace StoragePlugins.CrashKit.Tests.TraceFiles;

/// <summary>A dm-log-writes log put together by hand, as the kernel's header has it, so that the reader is not tested by the writer alone.</summary>
internal sealed class RawLog : IDisposable
{
    private readonly MemoryStream _log = new();
    private readonly int _sectorBytes;
    private long _entries;

    public RawLog(int sectorBytes)
    {
        _sectorBytes = sectorBytes;
        Super(0x6a736677736872, 1, 0, (uint)sectorBytes);
        _log.SetLength(sectorBytes);
        _log.Position = sectorBytes;
    }

    public void Super(ulong magic, ulong version, long entries, uint sectorBytes)
    {
        byte[] super = new byte[28];
        BinaryPrimitives.WriteUInt64LittleEndian(super, magic);
        BinaryPrimitives.WriteUInt64LittleEndian(super.AsSpan(8), version);
        BinaryPrimitives.WriteInt64LittleEndian(super.AsSpan(16), entries);
        BinaryPrimitives.WriteUInt32LittleEndian(super.AsSpan(24), sectorBytes);
        _log.Position = 0;
        _log.Write(super);
    }

    /// <summary>Adds an entry and counts it.</summary>
    public void Entry(ulong sector, ulong sectors, LogFlags flags, ulong dataLength = 0, byte[]? text = null, byte[]? data = null)
    {
        byte[] header = new byte[_sectorBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(header, sector);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(8), sectors);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(16), (long)flags);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(24), dataLength);
        text?.CopyTo(header, 32);
        _log.Position = _log.Length;
        _log.Write(header);
        _log.Write(data ?? []);
        Super(0x6a736677736872, 1, ++_entries, (uint)_sectorBytes);
    }

    /// <summary>Writes it to a file of this length.</summary>
    public void SaveTo(string path, long length)
    {
        using FileStream file = File.OpenWrite(path);
        _log.WriteTo(file);
        file.SetLength(length);
    }

    public void Cut(int bytes) => _log.SetLength(_log.Length - bytes);

    public DmLogWritesReader Open() => new(_log, "raw.dmlog");

    public void Dispose() => _log.Dispose();
}
