using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace StoragePlugins.PmFileSystem.Layout;

/// <summary>An inode as it lies on the medium.</summary>
[StructLayout(LayoutKind.Explicit, Size = PmLayout.InodeBytes)]
internal struct InodeRecord
{
    /// <summary>The word whose lower half is the checksum.</summary>
    private const int ChecksumWord = 6;

    [FieldOffset(0)] public uint Mode;
    [FieldOffset(4)] public uint Links;
    [FieldOffset(8)] public uint UserId;
    [FieldOffset(12)] public uint GroupId;
    [FieldOffset(16)] public long AccessTime;
    // What an append changes lies together: with its header one line of the journal.
    [FieldOffset(24)] public long ModificationTime;
    [FieldOffset(32)] public long ChangeTime;
    [FieldOffset(40)] public long Size;
    [FieldOffset(48)] public uint Checksum;
    [FieldOffset(52)] public uint Generation;
    [FieldOffset(56)] public long BirthTime;
    [FieldOffset(64)] public long Blocks;
    [FieldOffset(72)] public ulong Attributes;
    [FieldOffset(80)] public ulong Root;
    [FieldOffset(88)] public uint Parent;
    [FieldOffset(92)] public byte Height;
    [FieldOffset(96)] public uint Entries;
    [FieldOffset(100)] public uint Device;
    [FieldOffset(128)] public DirectMap Direct;

    public readonly NodeKind Kind => (NodeKind)(Mode >> 12);

    /// <summary>The checksum that it should have: of its four lines' checksums, which are computed side by side, for one alone waits for its last step in each.</summary>
    public readonly uint ComputeChecksum(uint inode)
    {
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<InodeRecord, ulong>(new ReadOnlySpan<InodeRecord>(in this));
        uint first = uint.MaxValue, second = uint.MaxValue, third = uint.MaxValue, fourth = uint.MaxValue;
        for (int i = 0; i < PmLayout.LineBytes / sizeof(ulong); i++)
        {
            first = BitOperations.Crc32C(first, i == ChecksumWord ? words[i] & ~(ulong)uint.MaxValue : words[i]);
            second = BitOperations.Crc32C(second, words[i + 8]);
            third = BitOperations.Crc32C(third, words[i + 16]);
            fourth = BitOperations.Crc32C(fourth, words[i + 24]);
        }

        uint sum = BitOperations.Crc32C(~inode, ~first | ((ulong)~second << 32));
        return ~BitOperations.Crc32C(sum, ~third | ((ulong)~fourth << 32));
    }

    /// <summary>What is told of it.</summary>
    public readonly NodeAttributes Describe(uint number) => new()
    {
        Node = number, Generation = Generation, Mode = Mode, Links = Links, UserId = UserId, GroupId = GroupId, Device = Device,
        Size = Size, AllocatedBytes = Blocks << PmLayout.BlockShift,
        AccessTime = AccessTime, ModificationTime = ModificationTime, ChangeTime = ChangeTime, BirthTime = BirthTime,
    };

    [UnscopedRef]
    public Span<byte> AsBytes() => MemoryMarshal.AsBytes(new Span<InodeRecord>(ref this));

    /// <summary>The first 16 blocks of a file.</summary>
    [InlineArray(PmLayout.DirectBlocks)]
    public struct DirectMap
    {
        private ulong _first;
    }
}
