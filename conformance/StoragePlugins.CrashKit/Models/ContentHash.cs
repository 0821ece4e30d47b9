using System.Buffers.Binary;

namespace StoragePlugins.CrashKit.Models;

/// <summary>
/// A 64-bit hash of a device's content that is the exclusive or of its words', so that it follows a change at the price of what changed. Two
/// different contents share it with a chance of 2^-64: among a hundred million states some pair does so once in 3,700 runs.
/// </summary>
internal static class ContentHash
{
    /// <summary>The hash of bytes at an offset that is a multiple of 8; a tail of less than 8 bytes counts as followed by zeros.</summary>
    public static ulong Of(int device, long offset, ReadOnlySpan<byte> bytes)
    {
        ulong hash = 0, salt = ((ulong)device + 1) << 56;
        for (; bytes.Length >= 8; bytes = bytes[8..], offset += 8) hash ^= OfWord(salt, offset, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        if (bytes.Length > 0)
        {
            Span<byte> last = stackalloc byte[8];
            last.Clear();
            bytes.CopyTo(last);
            hash ^= OfWord(salt, offset, BinaryPrimitives.ReadUInt64LittleEndian(last));
        }

        return hash;
    }

    public static ulong OfLength(int device, long length) => Mix((ulong)length ^ 0x9e37_79b9_7f4a_7c15 ^ ((ulong)device << 56));

    // Zeros count nothing: a longer device with zeros at its end differs by its length alone.
    private static ulong OfWord(ulong salt, long offset, ulong word) => word == 0 ? 0 : Mix(word ^ Mix((ulong)offset | salt));

    // The finalizer of splitmix64.
    private static ulong Mix(ulong x)
    {
        x = (x ^ (x >> 30)) * 0xbf58_476d_1ce4_e5b9;
        x = (x ^ (x >> 27)) * 0x94d0_49bb_1331_11eb;
        return x ^ (x >> 31);
    }
}
