using System.Buffers.Binary;

namespace StoragePlugins.Qcow2.Metadata;

/// <summary>Reads and writes refcounts of any width in a refcount block's bytes (qcow2 specification, "Refcount table and refcount blocks").</summary>
/// <remarks>Widths below 8 bits fill a byte from its least significant bit; wider ones are big-endian.</remarks>
internal readonly struct RefcountEntries(int order)
{
    /// <summary>The largest count of this width.</summary>
    public ulong Max => order == 6 ? ulong.MaxValue : (1UL << (1 << order)) - 1;

    public ulong Get(ReadOnlySpan<byte> block, int index) => order switch
    {
        < 3 => (ulong)(block[index >> (3 - order)] >> Shift(index)) & Max,
        3 => block[index],
        4 => BinaryPrimitives.ReadUInt16BigEndian(block[(index * 2)..]),
        5 => BinaryPrimitives.ReadUInt32BigEndian(block[(index * 4)..]),
        _ => BinaryPrimitives.ReadUInt64BigEndian(block[(index * 8)..]),
    };

    public void Set(Span<byte> block, int index, ulong value)
    {
        switch (order)
        {
            case < 3:
                ref byte shared = ref block[index >> (3 - order)];
                shared = (byte)((shared & ~((int)Max << Shift(index))) | ((int)value << Shift(index)));
                break;
            case 3:
                block[index] = (byte)value;
                break;
            case 4:
                BinaryPrimitives.WriteUInt16BigEndian(block[(index * 2)..], (ushort)value);
                break;
            case 5:
                BinaryPrimitives.WriteUInt32BigEndian(block[(index * 4)..], (uint)value);
                break;
            default:
                BinaryPrimitives.WriteUInt64BigEndian(block[(index * 8)..], value);
                break;
        }
    }

    /// <summary>The bytes that hold an entry.</summary>
    public (int Offset, int Length) BytesOf(int index) => order < 3 ? (index >> (3 - order), 1) : (index << (order - 3), 1 << (order - 3));

    private int Shift(int index) => (index & ((1 << (3 - order)) - 1)) << order;
}
