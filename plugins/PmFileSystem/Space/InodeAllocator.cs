using System.Runtime.InteropServices;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Space;

/// <summary>Who may take which inode, in memory, ahead of the bitmap on the medium. Thread-safe. A bit an inode, read in parts when they are first needed.</summary>
internal sealed class InodeAllocator
{
    /// <summary>Bits of a block of the bitmap.</summary>
    private const int PartInodes = PmLayout.BlockBytes * 8;

    private readonly PmRegion _region;
    private readonly Lock _gate = new();
    private readonly ulong[] _words;
    private readonly BitMap _taken;
    private readonly bool[] _isLoaded;
    private readonly uint _count;
    private long _cursor = PmLayout.RootInode;
    private long _free;
    private int _notLoaded;

    public InodeAllocator(PmRegion region)
    {
        _region = region;
        _count = region.Geometry.Inodes;
        _words = new ulong[Geometry.BitmapBytes(_count) / sizeof(ulong)];
        _taken = new BitMap(_words);
        _isLoaded = new bool[_words.Length * 64L / PartInodes];
        _notLoaded = _isLoaded.Length;
    }

    /// <summary>Inodes that there can be.</summary>
    public long Total => _count - 1;

    /// <summary>Inodes that can be taken. Looks at all parts.</summary>
    public long Free
    {
        get
        {
            lock (_gate)
            {
                for (int part = 0; _notLoaded > 0 && part < _isLoaded.Length; part++) Load(part);
                return _free;
            }
        }
    }

    /// <summary>Gets to know an inode's part of the bitmap, before it is committed that the inode is free.</summary>
    public void Know(uint inode)
    {
        lock (_gate) Load((int)(inode / PartInodes));
    }

    /// <summary>Takes the next free one; neighbours in time become neighbours in the table.</summary>
    public bool TryTake(out uint inode)
    {
        lock (_gate)
        {
            inode = 0;
            if (_notLoaded == 0 && _free == 0) return false;
            // The part of the cursor twice: behind it first, before it last.
            for (int i = 0, start = (int)(_cursor / PartInodes); i <= _isLoaded.Length; i++)
            {
                int part = (start + i) % _isLoaded.Length;
                Load(part);
                long from = i == 0 ? _cursor : (long)part * PartInodes, end = Math.Min(_count, (part + 1L) * PartInodes);
                long found = _taken.Find(false, from, end);
                if (found == end) continue;
                inode = (uint)found;
                _taken.Set(found, 1, true);
                _cursor = found + 1 < _count ? found + 1 : 0;
                _free--;
                return true;
            }

            return false;
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

    private void Load(int part)
    {
        if (_isLoaded[part]) return;
        long first = (long)part * PartInodes;
        MemoryMarshal.Cast<byte, ulong>(_region.View(_region.Geometry.NodeBitmap + (first / 8), PmLayout.BlockBytes)).CopyTo(_words.AsSpan((int)(first / 64)));
        if (part == 0) _taken.Set(0, PmLayout.RootInode + 1, true);
        _free += _taken.CountZeros(first, Math.Min(_count, first + PartInodes));
        _isLoaded[part] = true;
        _notLoaded--;
    }
}
