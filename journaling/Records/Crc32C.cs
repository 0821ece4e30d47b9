using System.Numerics;
using System.Runtime.InteropServices;

namespace StoragePlugins.Journaling;

/// <summary>CRC-32C (Castagnoli), by the CPU's instruction, eight bytes a step.</summary>
public static class Crc32C
{
    /// <summary>Start value of a checksum.</summary>
    public const uint Seed = 0xFFFF_FFFF;

    /// <summary>Continues a checksum over more bytes. The final inversion is the caller's, and not needed where both sides leave it out.</summary>
    public static uint Append(uint crc, ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        foreach (ulong word in words) crc = BitOperations.Crc32C(crc, word);
        foreach (byte b in bytes[(words.Length * sizeof(ulong))..]) crc = BitOperations.Crc32C(crc, b);
        return crc;
    }
}
