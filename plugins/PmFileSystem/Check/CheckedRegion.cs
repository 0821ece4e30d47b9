using System.Buffers.Binary;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Check;

/// <summary>The image as it will be once the journal is home: what is on the medium, under the blocks that records of the journal change.</summary>
internal sealed class CheckedRegion(IStorageMedium medium)
{
    /// <summary>Blocks that the journal may change: 512 MiB. A record of one line changes about three, and a lane has 1024 lines.</summary>
    private const int MostChangedBlocks = 1 << 17;

    private readonly Dictionary<long, byte[]> _changed = [];

    public string Name => medium.Name;

    public long Length => medium.Length;

    /// <summary>Fills the buffer; what is behind the medium's end reads as zeros.</summary>
    /// <exception cref="StorageException">The medium failed.</exception>
    public void Read(long offset, Span<byte> buffer)
    {
        int read = medium.Read(offset, buffer);
        buffer[read..].Clear();
        if (_changed.Count == 0) return;
        long end = offset + buffer.Length;
        for (long block = offset >> PmLayout.BlockShift; block << PmLayout.BlockShift < end; block++)
        {
            if (!_changed.TryGetValue(block, out byte[]? bytes)) continue;
            long start = block << PmLayout.BlockShift, from = Math.Max(start, offset), to = Math.Min(start + PmLayout.BlockBytes, end);
            bytes.AsSpan((int)(from - start), (int)(to - from)).CopyTo(buffer[(int)(from - offset)..]);
        }
    }

    public void ReadBlock(ulong block, Span<byte> buffer) => Read((long)block << PmLayout.BlockShift, buffer);

    public ulong ReadWord(long offset)
    {
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        Read(offset, word);
        return BinaryPrimitives.ReadUInt64LittleEndian(word);
    }

    /// <summary>The bytes of a block as a record of the journal may change them; <see langword="null"/> when it changes too many.</summary>
    public byte[]? Change(long block)
    {
        if (_changed.TryGetValue(block, out byte[]? bytes)) return bytes;
        if (_changed.Count >= MostChangedBlocks) return null;
        bytes = new byte[PmLayout.BlockBytes];
        Read(block << PmLayout.BlockShift, bytes);
        return _changed[block] = bytes;
    }

    /// <summary>Mends bytes on the medium. Only where the journal changes nothing.</summary>
    public void Write(long offset, ReadOnlySpan<byte> bytes, ContentClass content) => medium.Write(offset, bytes, content);
}
