using System.Buffers.Binary;

namespace StoragePlugins.Qcow2.Check;

/// <summary>Refcounts in a block, of any width: big-endian from 8 bits on, below that packed from each byte's lowest bits.</summary>
internal static class RefcountEntries
{
    public static ulong Get(ReadOnlySpan<byte> block, int index, int order) => order switch
    {
        3 => block[index],
        4 => BinaryPrimitives.ReadUInt16BigEndian(block[(index * 2)..]),
        5 => BinaryPrimitives.ReadUInt32BigEndian(block[(index * 4)..]),
        6 => BinaryPrimitives.ReadUInt64BigEndian(block[(index * 8)..]),
        _ => (ulong)(block[(index << order) >> 3] >> ((index << order) & 7)) & Max(order),
    };

    public static void Set(Span<byte> block, int index, int order, ulong value)
    {
        switch (order)
        {
            case 3: block[index] = (byte)value; break;
            case 4: BinaryPrimitives.WriteUInt16BigEndian(block[(index * 2)..], (ushort)value); break;
            case 5: BinaryPrimitives.WriteUInt32BigEndian(block[(index * 4)..], (uint)value); break;
            case 6: BinaryPrimitives.WriteUInt64BigEndian(block[(index * 8)..], value); break;
            default:
                int bit = (index << order) & 7;
                ref byte cell = ref block[(index << order) >> 3];
                cell = (byte)((cell & ~((int)Max(order) << bit)) | ((int)value << bit));
                break;
        }
    }

    /// <summary>The largest refcount of a width.</summary>
    public static ulong Max(int order) => order == 6 ? ulong.MaxValue : (1UL << (1 << order)) - 1;
}
