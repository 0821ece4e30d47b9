using System.Buffers.Binary;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Check;

/// <summary>Takes the entries that a directory has.</summary>
internal interface IEntryTaker
{
    /// <summary>An entry whose name and place are as they must be.</summary>
    void Take(uint directory, uint inode, ReadOnlySpan<byte> name, int type);
}

/// <summary>What a directory consists of.</summary>
internal struct DirectoryTotals
{
    public long Leaves;

    /// <summary>Blocks of leaves' numbers.</summary>
    public long IndexBlocks;

    public long Entries;

    /// <summary>Something in it makes no sense: the other numbers are not complete.</summary>
    public bool IsBroken;
}

/// <summary>Reads a directory: its index, its leaves, their entries.</summary>
internal sealed class DirectoryWalk(CheckScan scan)
{
    private const int DirectDepth = PmLayout.FanOutShift;

    private readonly byte[] _index = new byte[PmLayout.BlockBytes];
    private readonly byte[] _upper = new byte[PmLayout.BlockBytes];
    private readonly byte[] _leaf = new byte[PmLayout.BlockBytes];
    private readonly List<(uint Hash, int At)> _seen = [];
    private uint _directory;
    private int _depth;
    private DirectoryTotals _totals;
    private ulong _run;
    private int _runStart;
    private IEntryTaker _taker = null!;

    /// <summary>Claims its blocks and hands over its entries.</summary>
    public DirectoryTotals Run(uint directory, InodeRecord record, IEntryTaker taker)
    {
        (_directory, _depth, _totals, _taker) = (directory, record.Height, default, taker);
        if (_depth > PmLayout.MostDepth)
        {
            Fault($"depth {_depth}; 0 to {PmLayout.MostDepth} expected");
        }
        else if (_depth == 0)
        {
            if (record.Root != 0) Leaf(record.Root, 0, 1);
        }
        else if (Claim(record.Root, "directory index"))
        {
            _totals.IndexBlocks = 1;
            Index(record.Root);
        }

        return _totals;
    }

    private void Index(ulong root)
    {
        (_run, _runStart) = (0, 0);
        if (_depth <= DirectDepth)
        {
            scan.Region.ReadBlock(root, _index);
            Places(0, 1 << _depth);
        }
        else
        {
            scan.Region.ReadBlock(root, _upper);
            for (int i = 0; i < 1 << (_depth - DirectDepth); i++)
            {
                ulong block = BinaryPrimitives.ReadUInt64LittleEndian(_upper.AsSpan(i * sizeof(ulong)));
                if (!Claim(block, "directory index"))
                {
                    EndRun((i + 1) * PmLayout.FanOut, 0);
                    continue;
                }

                _totals.IndexBlocks++;
                scan.Region.ReadBlock(block, _index);
                Places(i * PmLayout.FanOut, PmLayout.FanOut);
            }
        }

        EndRun(1 << _depth, 0);
    }

    private void Places(int first, int count)
    {
        for (int i = 0; i < count; i++)
        {
            ulong leaf = BinaryPrimitives.ReadUInt64LittleEndian(_index.AsSpan(i * sizeof(ulong)));
            if (leaf == 0) Fault($"place {first + i} of the index is empty");
            if (leaf != _run) EndRun(first + i, leaf);
        }
    }

    // A leaf stands in places that follow one another: what comes again later is claimed twice.
    private void EndRun(int end, ulong next)
    {
        if (_run != 0) Leaf(_run, _runStart, end - _runStart);
        (_run, _runStart) = (next, end);
    }

    private void Leaf(ulong block, int first, int places)
    {
        if (!Claim(block, "leaf")) return;
        _totals.Leaves++;
        scan.Region.ReadBlock(block, _leaf);
        uint magic = Word(0), owner = Word(8);
        int local = _leaf[4];
        if (magic != PmLayout.LeafMagic || owner != _directory)
        {
            Fault($"block {block} is no leaf of it: magic 0x{magic:x8}, directory {owner}");
            return;
        }

        if ((Word(4) >> 8) != 0 || Word(12) != 0) scan.Findings.Corruption($"directory {_directory}: leaf {block}: reserved bytes of its header are not 0");
        if (local > _depth || places != 1 << (_depth - local) || first % places != 0)
        {
            Fault($"leaf {block} of local depth {local} stands in {places} places from {first} of an index of depth {_depth}");
            if (local > _depth) return;
        }

        Entries(block, local, first);
    }

    private void Entries(ulong block, int local, int first)
    {
        _seen.Clear();
        for (int at = PmLayout.LeafHeaderBytes; at < PmLayout.BlockBytes;)
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(_leaf.AsSpan(at + 8)), name = _leaf[at + 10];
            bool isUsed = Word(at) != 0;
            if (length < PmLayout.LeastEntryBytes || length % 8 != 0 || at + length > PmLayout.BlockBytes || (isUsed && PmLayout.EntryHeaderBytes + name > length))
            {
                Fault($"leaf {block}: the entry at {at} has the length {length} and a name of {name} bytes");
                return;
            }

            if (isUsed) Entry(block, at, local, first);
            at += length;
        }

        FindTwins(block);
    }

    private void Entry(ulong block, int at, int local, int first)
    {
        uint hash = Word(at + 4);
        ReadOnlySpan<byte> name = NameAt(at);
        _totals.Entries++;
        _seen.Add((hash, at));
        uint expected = KeyedHash.Upper(scan.Geometry.Secret, name);
        if (name.Length == 0 || name.ContainsAny((byte)0, (byte)'/') || name.SequenceEqual("."u8) || name.SequenceEqual(".."u8))
            scan.Findings.Corruption($"directory {_directory}: leaf {block}: '{name}' is no name");
        if (hash != expected)
            scan.Findings.Corruption($"directory {_directory}: '{name}': hash 0x{expected:x8} expected, 0x{hash:x8} found");
        else if (local > 0 && hash >> (32 - local) != (uint)first >> (_depth - local))
            scan.Findings.Corruption($"directory {_directory}: '{name}' with the hash 0x{hash:x8} is in leaf {block}, which stands at {first} of an index of depth {_depth}");
        _taker.Take(_directory, Word(at), name, _leaf[at + 11]);
    }

    // Equal names have equal hashes, and those lie in one leaf.
    private void FindTwins(ulong block)
    {
        _seen.Sort();
        for (int i = 1; i < _seen.Count; i++)
        {
            for (int j = i - 1; j >= 0 && _seen[j].Hash == _seen[i].Hash; j--)
            {
                ReadOnlySpan<byte> name = NameAt(_seen[i].At);
                if (!name.SequenceEqual(NameAt(_seen[j].At))) continue;
                scan.Findings.Corruption($"directory {_directory}: leaf {block}: '{name}' is there twice");
                break;
            }
        }
    }

    private ReadOnlySpan<byte> NameAt(int at) => _leaf.AsSpan(at + PmLayout.EntryHeaderBytes, _leaf[at + 10]);

    private uint Word(int at) => BinaryPrimitives.ReadUInt32LittleEndian(_leaf.AsSpan(at));

    private bool Claim(ulong block, string use)
    {
        bool isSound = true;
        bool isClaimed = scan.Claim(block, _directory, use, ref isSound);
        if (!isClaimed) _totals.IsBroken = scan.HasBrokenDirectories = true;
        return isClaimed;
    }

    private void Fault(string what)
    {
        _totals.IsBroken = scan.HasBrokenDirectories = scan.HasBrokenPointers = true;
        scan.Findings.Corruption($"directory {_directory}: {what}");
    }
}
