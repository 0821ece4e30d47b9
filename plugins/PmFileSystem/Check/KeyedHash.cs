using System.Buffers.Binary;
using System.Numerics;

namespace StoragePlugins.PmFileSystem.Check;

/// <summary>SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF"; one round a word, three at the end), written for the check alone.</summary>
internal static class KeyedHash
{
    /// <summary>The upper half of a name's hash: what an entry stores, and by whose top bits leaves are found.</summary>
    public static uint Upper((ulong Low, ulong High) key, ReadOnlySpan<byte> name) => (uint)(Of(key, name) >> 32);

    public static ulong Of((ulong Low, ulong High) key, ReadOnlySpan<byte> bytes)
    {
        ulong v0 = key.Low ^ 0x736f6d6570736575, v1 = key.High ^ 0x646f72616e646f6d, v2 = key.Low ^ 0x6c7967656e657261, v3 = key.High ^ 0x7465646279746573;
        ulong last = (ulong)bytes.Length << 56;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..]) Mix(BinaryPrimitives.ReadUInt64LittleEndian(bytes), ref v0, ref v1, ref v2, ref v3);
        for (int i = 0; i < bytes.Length; i++) last |= (ulong)bytes[i] << (8 * i);
        Mix(last, ref v0, ref v1, ref v2, ref v3);
        v2 ^= 0xff;
        for (int round = 0; round < 3; round++) Round(ref v0, ref v1, ref v2, ref v3);
        return v0 ^ v1 ^ v2 ^ v3;
    }

    private static void Mix(ulong word, ref ulong v0, ref ulong v1, ref ulong v2, ref ulong v3)
    {
        v3 ^= word;
        Round(ref v0, ref v1, ref v2, ref v3);
        v0 ^= word;
    }

    private static void Round(ref ulong v0, ref ulong v1, ref ulong v2, ref ulong v3)
    {
        v0 += v1;
        v1 = BitOperations.RotateLeft(v1, 13) ^ v0;
        v0 = BitOperations.RotateLeft(v0, 32);
        v2 += v3;
        v3 = BitOperations.RotateLeft(v3, 16) ^ v2;
        v0 += v3;
        v3 = BitOperations.RotateLeft(v3, 21) ^ v0;
        v2 += v1;
        v1 = BitOperations.RotateLeft(v1, 17) ^ v2;
        v2 = BitOperations.RotateLeft(v2, 32);
    }
}
