using System.Buffers.Binary;
using System.Numerics;

namespace StoragePlugins.Qcow2.Metadata;

/// <summary>A part of an L2 table in memory: entries in host byte order, and which of them differ from the medium.</summary>
/// <remarks>Entries are read without a lock (8-byte loads are atomic); everything else changes under the metadata lock.</remarks>
internal sealed class L2Slice(long hostOffset, int entries)
{
    private readonly ulong[] _entries = new ulong[entries];
    private readonly ulong[] _dirty = new ulong[(entries + 63) / 64];
    private int _referenced;

    /// <summary>Where the slice lives on the medium.</summary>
    public long HostOffset { get; } = hostOffset;

    public int Count => _entries.Length;

    /// <summary>Users that need it to stay in the cache: allocating writes and a commit under way.</summary>
    public int Pins { get; set; }

    public bool IsDirty { get; private set; }

    /// <summary>Second-chance bit of the cache's clock; cleared by the clock's hand.</summary>
    public bool TakeReferenced() => Interlocked.Exchange(ref _referenced, 0) != 0;

    public void Touch()
    {
        if (_referenced == 0) _referenced = 1;
    }

    public ulong this[int index] => Volatile.Read(ref _entries[index]);

    /// <summary>Fills the slice from the table's bytes.</summary>
    public void Load(ReadOnlySpan<byte> bigEndian)
    {
        for (int i = 0; i < _entries.Length; i++) _entries[i] = BinaryPrimitives.ReadUInt64BigEndian(bigEndian[(i * 8)..]);
    }

    public void Set(int index, ulong entry)
    {
        Volatile.Write(ref _entries[index], entry);
        MarkDirty(index);
    }

    public void MarkDirty(int index)
    {
        _dirty[index >> 6] |= 1UL << (index & 63);
        IsDirty = true;
    }

    /// <summary>Adds the changed entries to a transaction, runs of neighbours as one after-image, and notes them as clean.</summary>
    /// <param name="transaction">Receives the after-images.</param>
    /// <param name="stage">Their stage.</param>
    /// <param name="taken">Receives a copy of the dirty bits, to put them back if the commit fails.</param>
    public void TakeDirty(MetadataTransaction transaction, int stage, out ulong[] taken)
    {
        taken = (ulong[])_dirty.Clone();
        Span<byte> run = stackalloc byte[64 * 8];
        for (int word = 0; word < _dirty.Length; word++)
        {
            ulong bits = _dirty[word];
            while (bits != 0)
            {
                int first = BitOperations.TrailingZeroCount(bits);
                int length = BitOperations.TrailingZeroCount(~(bits >> first));
                for (int i = 0; i < length; i++)
                    BinaryPrimitives.WriteUInt64BigEndian(run[(i * 8)..], _entries[(word * 64) + first + i]);
                transaction.Add(stage, ContentClass.Map, HostOffset + ((((long)word * 64) + first) * 8), run[..(length * 8)]);
                bits = first + length >= 64 ? 0 : bits & (~0UL << (first + length));
            }

            _dirty[word] = 0;
        }

        IsDirty = false;
    }

    /// <summary>Puts back dirty bits that a failed commit had taken.</summary>
    public void PutBackDirty(ulong[] taken)
    {
        for (int word = 0; word < _dirty.Length; word++) _dirty[word] |= taken[word];
        IsDirty = true;
    }
}
