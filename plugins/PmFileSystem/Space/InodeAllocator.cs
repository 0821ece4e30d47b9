using System.Runtime.InteropServices;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Space;

/// <summary>Who may take which inode, in memory, ahead of the bitmap on the medium. Thread-safe. A bit an inode.</summary>
internal sealed class InodeAllocator
{
    private readonly Lock _gate = new();
    private readonly BitMap _taken;
    private readonly uint _count;
    private long _cursor = PmLayout.RootInode;
    private long _free;

    public InodeAllocator(PmRegion region)
    {
        Geometry geometry = region.Geometry;
        _count = geometry.Inodes;
        ulong[] words = new ulong[Geometry.BitmapBytes(_count) / sizeof(ulong)];
        for (long done = 0; done < words.Length * (long)sizeof(ulong); done += PmLayout.BlockBytes)
            MemoryMarshal.Cast<byte, ulong>(region.View(geometry.NodeBitmap + done, PmLayout.BlockBytes)).CopyTo(words.AsSpan((int)(done / sizeof(ulong))));
        _taken = new BitMap(words);
        _taken.Set(0, PmLayout.RootInode + 1, true);
        _free = _taken.CountZeros(0, _count);
    }

    /// <summary>Inodes that there can be.</summary>
    public long Total => _count - 1;

    public long Free => Volatile.Read(ref _free);

    public bool IsTaken(uint inode)
    {
        lock (_gate) return _taken[inode];
    }

    /// <summary>Takes the next free one; neighbours in time become neighbours in the table.</summary>
    public bool TryTake(out uint inode)
    {
        lock (_gate)
        {
            long found = _taken.Find(false, _cursor, _count);
            if (found == _count) found = _taken.Find(false, 0, _cursor);
            inode = (uint)found;
            if (_free == 0) return false;
            _taken.Set(found, 1, true);
            _cursor = found + 1 < _count ? found + 1 : 0;
            _free--;
            return true;
        }
    }

    /// <summary>Gives one back whose transaction is committed, or never was.</summary>
    public void GiveBack(uint inode)
    {
        lock (_gate)
        {
            _taken.Set(inode, 1, false);
            _free++;
        }
    }
}
