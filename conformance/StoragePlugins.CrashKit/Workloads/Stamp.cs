using System.Buffers.Binary;

namespace StoragePlugins.CrashKit.Workloads;

/// <summary>The bytes that the guest writes: each 8-byte word names the operation and its own place, so that a stray sector says where it came from.</summary>
internal static class Stamp
{
    private const ulong Magic = 0x5a00_0000_0000_0000;

    /// <summary>Fills bytes that belong at an offset.</summary>
    public static void Fill(Span<byte> bytes, long offset, int operation)
    {
        Span<byte> word = stackalloc byte[8];
        for (int i = 0; i < bytes.Length;)
        {
            long at = offset + i;
            BinaryPrimitives.WriteUInt64LittleEndian(word, Magic | ((ulong)(operation & 0xffff) << 40) | (ulong)(at / 8 & 0xff_ffff_ffff));
            int skip = (int)(at % 8), part = Math.Min(8 - skip, bytes.Length - i);
            word.Slice(skip, part).CopyTo(bytes[i..]);
            i += part;
        }
    }

    /// <summary>Says what a sector holds.</summary>
    public static string Describe(ReadOnlySpan<byte> sector, long index)
    {
        if (sector.IndexOfAnyExcept((byte)0) < 0) return "zeros";
        if (sector.Length < 8) return $"0x{Convert.ToHexStringLower(sector)}";
        ulong first = BinaryPrimitives.ReadUInt64LittleEndian(sector), last = BinaryPrimitives.ReadUInt64LittleEndian(sector[(sector.Length / 8 * 8 - 8)..]);
        if ((first & 0xff00_0000_0000_0000) != Magic) return $"no guest data (0x{Convert.ToHexStringLower(sector[..8])}…)";
        long place = (long)(first & 0xff_ffff_ffff) * 8 / GuestHistory.SectorBytes;
        string from = place == index ? "" : $" for sector {place}";
        return (first >> 40 & 0xffff) == (last >> 40 & 0xffff)
            ? $"what operation {first >> 40 & 0xffff} wrote{from}"
            : $"a mixture of operations {first >> 40 & 0xffff} and {last >> 40 & 0xffff}{from}";
    }
}
