using System.Buffers.Binary;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Journal;

/// <summary>Brings changes home: into inodes, maps, directories and bitmaps. Applying a record twice is applying it once.</summary>
/// <remarks>Thread-safe as far as bitmaps go; everything else is locked by whoever made the change.</remarks>
internal sealed class Home(PmRegion region)
{
    /// <summary>Words written in one call by a fill.</summary>
    private const int PieceWords = 64;

    private const int BitmapLocks = 64;

    // Neighbouring bits of one word belong to different transactions.
    private readonly Lock[] _bitmaps = [.. Enumerable.Range(0, BitmapLocks).Select(_ => new Lock())];

    /// <summary>Whether a change stays within what it may change.</summary>
    public bool IsPossible(in Change change)
    {
        Geometry geometry = region.Geometry;
        return change.Kind switch
        {
            ChangeKind.Set => IsMetadata(change.Place, change.Count),
            ChangeKind.Fill or ChangeKind.Ascend => IsMetadata(change.Place, change.Count * (long)sizeof(ulong)),
            ChangeKind.TakeBlocks or ChangeKind.GiveBackBlocks => change.Place >= geometry.FirstDataBlock && change.Place + change.Count <= geometry.EndOfData,
            _ => change.Place >= 1 && change.Place + change.Count <= geometry.Inodes,
        };
    }

    /// <summary>Stores a change's bytes home, cached: they are durable after <see cref="Flush"/> and a fence.</summary>
    public void Apply(in Change change)
    {
        switch (change.Kind)
        {
            case ChangeKind.Set:
                region.Memory.Store(change.Place, change.Data);
                break;
            case ChangeKind.Fill:
                StoreWords(change.Place, change.Count, BinaryPrimitives.ReadUInt64LittleEndian(change.Data), 0);
                break;
            case ChangeKind.Ascend:
                StoreWords(change.Place, change.Count, BinaryPrimitives.ReadUInt64LittleEndian(change.Data), 1);
                break;
            default:
                SetBits(BitmapOf(change.Kind), change.Place, change.Count, change.Kind is ChangeKind.TakeBlocks or ChangeKind.TakeInodes or ChangeKind.Orphan);
                break;
        }
    }

    /// <summary>Starts the write-back of what a change stored.</summary>
    public void Flush(in Change change)
    {
        (long offset, long length) = RangeOf(change);
        region.Memory.FlushLines(offset, length);
    }

    /// <summary>The bytes that a change stores to.</summary>
    public (long Offset, long Length) RangeOf(in Change change) => change.Kind switch
    {
        ChangeKind.Set => (change.Place, change.Count),
        ChangeKind.Fill or ChangeKind.Ascend => (change.Place, change.Count * (long)sizeof(ulong)),
        _ => (BitmapOf(change.Kind) + (change.Place / 8), ((change.Place + change.Count - 1) / 8) - (change.Place / 8) + 1),
    };

    private bool IsMetadata(long offset, long length) =>
        offset % sizeof(ulong) == 0 && offset >= region.Geometry.InodeTable && length <= (region.Geometry.EndOfData << PmLayout.BlockShift) - offset;

    private long BitmapOf(ChangeKind kind) => kind switch
    {
        ChangeKind.TakeBlocks or ChangeKind.GiveBackBlocks => region.Geometry.BlockBitmap,
        ChangeKind.TakeInodes or ChangeKind.GiveBackInodes => region.Geometry.NodeBitmap,
        _ => region.Geometry.OrphanBitmap,
    };

    private void StoreWords(long offset, int count, ulong first, ulong step)
    {
        Span<byte> piece = stackalloc byte[PieceWords * sizeof(ulong)];
        for (int done = 0; done < count;)
        {
            int words = Math.Min(PieceWords, count - done);
            for (int i = 0; i < words; i++) BinaryPrimitives.WriteUInt64LittleEndian(piece[(i * sizeof(ulong))..], first + (step * (ulong)(done + i)));
            region.Memory.Store(offset + ((long)done * sizeof(ulong)), piece[..(words * sizeof(ulong))]);
            done += words;
        }
    }

    private void SetBits(long bitmap, long first, long count, bool value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        for (long bit = first, end = first + count; bit < end;)
        {
            long word = bit / 64, next = Math.Min(end, (word + 1) * 64);
            ulong mask = (next - bit == 64 ? ulong.MaxValue : (1UL << (int)(next - bit)) - 1) << (int)(bit & 63);
            long at = bitmap + (word * sizeof(ulong));
            lock (_bitmaps[(int)(word & (BitmapLocks - 1))])
            {
                ulong now = region.Word(at);
                BinaryPrimitives.WriteUInt64LittleEndian(bytes, value ? now | mask : now & ~mask);
                region.Memory.Store(at, bytes);
            }

            bit = next;
        }
    }
}
