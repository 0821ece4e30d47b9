using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace StoragePlugins.PmJournal.Ring;

/// <summary>
/// What tells a record of this session from anything else: all checks are seeded by region, image and epoch, so that a record of an earlier session,
/// of another image, or one that a guest wrote into its data, never passes.
/// </summary>
internal class RecordSeal
{
    private readonly ulong _salt;

    /// <param name="region">The journal region.</param>
    /// <param name="image">The image that owns it.</param>
    /// <param name="epoch">The image's epoch.</param>
    public RecordSeal(Guid region, Guid image, ulong epoch)
    {
        Span<byte> identity = stackalloc byte[40];
        region.TryWriteBytes(identity);
        image.TryWriteBytes(identity[16..]);
        BinaryPrimitives.WriteUInt64LittleEndian(identity[32..], epoch);
        ulong salt = 0;
        foreach (ulong word in MemoryMarshal.Cast<byte, ulong>(identity)) salt = Mix(salt ^ word);
        _salt = salt;
    }

    /// <summary>The commit mark of a record: a word that no other record of any session has.</summary>
    public ulong Mark(ulong txid) => Mix(_salt ^ Mix(txid)) | 1; // never 0, which is an unmarked record

    /// <summary>CRC-32C, eight bytes a step.</summary>
    /// <param name="a">Position or transaction, so that a record is valid in its own place only.</param>
    /// <param name="b">Whatever else the record's head says.</param>
    /// <param name="bytes">The content.</param>
    public virtual uint Checksum(ulong a, ulong b, ReadOnlySpan<byte> bytes)
    {
        uint crc = BitOperations.Crc32C(BitOperations.Crc32C(BitOperations.Crc32C(uint.MaxValue, _salt), a), b);
        while (bytes.Length >= 8)
        {
            crc = BitOperations.Crc32C(crc, MemoryMarshal.Read<ulong>(bytes));
            bytes = bytes[8..];
        }

        foreach (byte value in bytes) crc = BitOperations.Crc32C(crc, value);
        return ~crc;
    }

    // The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the input changes half of the output's.
    private static ulong Mix(ulong value)
    {
        value += 0x9e3779b97f4a7c15;
        value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
        value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
        return value ^ (value >> 31);
    }
}
