using System.Buffers.Binary;

namespace StoragePlugins.PmFileSystem.Layout;

/// <summary>The two words of the superblock that change. Each is stored whole, and tells by itself whether it is damaged.</summary>
internal static class StateWords
{
    /// <summary>The floor: records up to this number are home.</summary>
    public static ulong PackFloor(ulong sequence) => (sequence << 12) | (CrcOf(sequence) & 0xfff);

    public static bool TryUnpackFloor(ulong word, out ulong sequence)
    {
        sequence = word >> 12;
        return PackFloor(sequence) == word;
    }

    /// <summary>Which session it is, and whether it has ended cleanly.</summary>
    public static ulong PackState(ulong session, bool inUse)
    {
        ulong word = (session << 24) | (inUse ? 1UL << 16 : 0);
        return word | (CrcOf(word) & 0xffff);
    }

    public static bool TryUnpackState(ulong word, out ulong session, out bool inUse)
    {
        session = word >> 24;
        inUse = ((word >> 16) & 1) != 0;
        return PackState(session, inUse) == word;
    }

    private static ulong CrcOf(ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        return Crc.Of(bytes, 0);
    }
}
