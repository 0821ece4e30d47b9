using System.Buffers.Binary;
using System.Runtime.InteropServices;
using StoragePlugins.PmFileSystem.Layout;
using StoragePlugins.PmFileSystem.Space;

namespace StoragePlugins.PmFileSystem.Journal;

/// <summary>
/// What one operation changes: bytes stored in place beforehand (data, blocks that nothing refers to yet), and the record that makes them count.
/// </summary>
/// <remarks>One a thread, used again and again. Inodes and leaves are edited as copies; the record gets the words in which they differ from home.</remarks>
internal sealed class Transaction
{
    /// <summary>Rename has four: two directories, what moves, what is replaced.</summary>
    private const int MostInodes = 4;

    /// <summary>Rename has two.</summary>
    private const int MostLeaves = 2;

    /// <summary>What edits that are still to come may need of the record: all inodes, bits, entries.</summary>
    private const int Reserve = 2048;

    private readonly byte[] _record = new byte[PmLayout.MostRecordBytes];
    private readonly InodeEdit[] _inodes = new InodeEdit[MostInodes];
    private readonly LeafEdit[] _leaves = [.. Enumerable.Range(0, MostLeaves).Select(_ => new LeafEdit())];
    private readonly List<(long Offset, long Length)> _stored = [];
    private PmRegion _region = null!;
    private int _length;
    private int _inodeCount;
    private int _leafCount;
    private bool _keepsRanges;

    /// <summary>Blocks taken in memory for this transaction: to be given back when it is given up.</summary>
    public List<BlockRun> Taken { get; } = [];

    /// <summary>Blocks to be given back once it is committed.</summary>
    public List<BlockRun> Freed { get; } = [];

    /// <summary>Blocks of maps and directories, to be given back once the journal has been emptied after it.</summary>
    public List<ulong> FreedLater { get; } = [];

    /// <summary>Inodes to be given back once it is committed.</summary>
    public List<uint> FreedInodes { get; } = [];

    /// <summary>Something is to be given back.</summary>
    public bool FreesAnything => Freed.Count + FreedLater.Count + FreedInodes.Count > 0;

    /// <summary>Something was stored in place that must be durable before the record.</summary>
    public bool HasStored { get; private set; }

    /// <summary>The ranges, where the domain needs them by name.</summary>
    public List<(long Offset, long Length)> Stored => _stored;

    /// <summary>No further run fits with certainty: commit and begin anew.</summary>
    public bool IsNearlyFull => _length > PmLayout.MostRecordBytes - Reserve;

    /// <summary>Nothing to journal.</summary>
    public bool IsEmpty => _length == PmLayout.RecordHeaderBytes;

    /// <summary>Begins; what was left of an operation that ended in an exception is forgotten.</summary>
    public void Reset(PmRegion region)
    {
        _region = region;
        _length = PmLayout.RecordHeaderBytes;
        _inodeCount = 0;
        _leafCount = 0;
        HasStored = false;
        _keepsRanges = region.Memory.Domain == PersistenceDomain.Msync;
        if (_stored.Count > 0) _stored.Clear();
        if (Taken.Count > 0) Taken.Clear();
        if (!FreesAnything) return;
        Freed.Clear();
        FreedLater.Clear();
        FreedInodes.Clear();
    }

    /// <summary>Stores bytes in place, past the cache.</summary>
    public void StoreInPlace(long offset, ReadOnlySpan<byte> data)
    {
        _region.Memory.StoreNonTemporal(offset, data);
        HasStored = true;
        if (_keepsRanges) _stored.Add((offset, data.Length));
    }

    /// <summary>Zeroes bytes in place.</summary>
    public void ZeroInPlace(long offset, long length)
    {
        for (long done = 0; done < length;)
        {
            int piece = (int)Math.Min(Zeros.Bytes.Length, length - done);
            StoreInPlace(offset + done, Zeros.Bytes[..piece]);
            done += piece;
        }
    }

    /// <summary>An inode's copy to be changed. The inode is locked for writing.</summary>
    public ref InodeRecord Edit(uint inode)
    {
        for (int i = 0; i < _inodeCount; i++)
            if (_inodes[i].Number == inode) return ref _inodes[i].After;
        _region.ReadInode(inode, out InodeRecord before);
        return ref Add(inode, before);
    }

    /// <summary>The same of an inode that was read since it was locked: it is not read again. Where the transaction has it already, its own copy counts.</summary>
    public ref InodeRecord Edit(uint inode, scoped in InodeRecord before)
    {
        for (int i = 0; i < _inodeCount; i++)
            if (_inodes[i].Number == inode) return ref _inodes[i].After;
        return ref Add(inode, before);
    }

    /// <summary>A leaf's copy to be changed. Its directory is locked for writing.</summary>
    public Span<byte> EditLeaf(ulong block)
    {
        for (int i = 0; i < _leafCount; i++)
            if (_leaves[i].Block == block) return _leaves[i].After;
        LeafEdit edit = _leaves[_leafCount++];
        edit.Block = block;
        _region.Block(block).CopyTo(edit.After);
        return edit.After;
    }

    public void Set(long offset, ReadOnlySpan<byte> bytes)
    {
        PutWord(Change.Pack(ChangeKind.Set, bytes.Length, offset));
        bytes.CopyTo(_record.AsSpan(_length));
        _length += bytes.Length;
    }

    public void SetWord(long offset, ulong word)
    {
        PutWord(Change.Pack(ChangeKind.Set, sizeof(ulong), offset));
        PutWord(word);
    }

    public void Fill(long offset, int words, ulong word)
    {
        PutWord(Change.Pack(ChangeKind.Fill, words, offset));
        PutWord(word);
    }

    /// <summary>Block numbers of a run.</summary>
    public void Ascend(long offset, int words, ulong first)
    {
        if (words == 1)
        {
            SetWord(offset, first);
            return;
        }

        PutWord(Change.Pack(ChangeKind.Ascend, words, offset));
        PutWord(first);
    }

    /// <summary>Takes or gives back blocks or inodes, or marks orphans.</summary>
    public void Bits(ChangeKind kind, ulong first, long count)
    {
        for (; count > 0; count -= Change.MostCount, first += Change.MostCount)
            PutWord(Change.Pack(kind, (int)Math.Min(count, Change.MostCount), (long)first));
    }

    /// <summary>Notes that blocks are taken, in the record and for the case that it is given up.</summary>
    public void Take(BlockRun run)
    {
        Taken.Add(run);
        Bits(ChangeKind.TakeBlocks, run.First, run.Count);
    }

    /// <summary>Notes that data blocks, or others that no record changes bit by bit, are given back.</summary>
    public void Free(BlockRun run)
    {
        Freed.Add(run);
        Bits(ChangeKind.GiveBackBlocks, run.First, run.Count);
    }

    /// <summary>Notes that a block of a map or a directory is given back.</summary>
    public void FreeLater(ulong block)
    {
        FreedLater.Add(block);
        Bits(ChangeKind.GiveBackBlocks, block, 1);
    }

    /// <summary>Puts the edits into the record.</summary>
    /// <returns>The record without its header's fields, a multiple of 8 bytes.</returns>
    public Span<byte> Finish()
    {
        for (int i = 0; i < _leafCount; i++) AddDifferences(PmLayout.PlaceOf(_leaves[i].Block), _region.Block(_leaves[i].Block), _leaves[i].After);
        for (int i = 0; i < _inodeCount; i++)
        {
            ref InodeEdit edit = ref _inodes[i];
            if (edit.Before.AsBytes().SequenceEqual(edit.After.AsBytes())) continue;
            edit.After.Checksum = edit.After.ComputeChecksum(edit.Number);
            AddDifferences(_region.Geometry.InodeOffset(edit.Number), edit.Before.AsBytes(), edit.After.AsBytes());
        }

        _leafCount = _inodeCount = 0;
        Lines[_length..].Clear();
        return _record.AsSpan(0, _length);
    }

    /// <summary>The finished record with zeros to the end of its last line.</summary>
    public Span<byte> Lines => _record.AsSpan(0, (int)PmLayout.RoundUp(_length, PmLayout.LineBytes));

    private ref InodeRecord Add(uint inode, scoped in InodeRecord before)
    {
        ref InodeEdit edit = ref _inodes[_inodeCount++];
        edit.Number = inode;
        edit.Before = edit.After = before;
        return ref edit.After;
    }

    // Runs of words that differ; a single equal word between two costs no more than a header.
    private void AddDifferences(long offset, ReadOnlySpan<byte> before, ReadOnlySpan<byte> after)
    {
        ReadOnlySpan<ulong> old = MemoryMarshal.Cast<byte, ulong>(before), changed = MemoryMarshal.Cast<byte, ulong>(after);
        for (int at = 0; at < old.Length;)
        {
            int same = old[at..].CommonPrefixLength(changed[at..]);
            at += same;
            if (at == old.Length) return;
            int end = at + 1;
            while (end < old.Length && (old[end] != changed[end] || (end + 1 < old.Length && old[end + 1] != changed[end + 1]))) end++;
            Set(offset + ((long)at * sizeof(ulong)), MemoryMarshal.AsBytes(changed[at..end]));
            at = end;
        }
    }

    private void PutWord(ulong word)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_record.AsSpan(_length), word);
        _length += sizeof(ulong);
    }

    private struct InodeEdit
    {
        public uint Number;
        public InodeRecord Before;
        public InodeRecord After;
    }

    private sealed class LeafEdit
    {
        public ulong Block;
        public readonly byte[] After = new byte[PmLayout.BlockBytes];
    }
}

/// <summary>Zeros to be stored.</summary>
internal static class Zeros
{
    private static readonly byte[] s_bytes = new byte[64 << 10];

    public static ReadOnlySpan<byte> Bytes => s_bytes;
}
