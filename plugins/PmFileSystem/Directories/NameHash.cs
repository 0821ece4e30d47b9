using System.Buffers.Binary;
using System.Numerics;

namespace StoragePlugins.PmFileSystem.Directories;

/// <summary>SipHash-1-3 of names (Aumasson and Bernstein, 2012): keyed, so that nobody can choose names that meet.</summary>
internal static class NameHash
{
    public static ulong Of(ReadOnlySpan<byte> name, (ulong Low, ulong High) key)
    {
        ulong v0 = key.Low ^ 0x736f6d6570736575, v1 = key.High ^ 0x646f72616e646f6d, v2 = key.Low ^ 0x6c7967656e657261, v3 = key.High ^ 0x7465646279746573;
        ulong last = (ulong)name.Length << 56;
        for (; name.Length >= sizeof(ulong); name = name[sizeof(ulong)..])
        {
            ulong word = BinaryPrimitives.ReadUInt64LittleEndian(name);
            v3 ^= word;
            Round(ref v0, ref v1, ref v2, ref v3);
            v0 ^= word;
        }

        for (int i = 0; i < name.Length; i++) last |= (ulong)name[i] << (8 * i);
        v3 ^= last;
        Round(ref v0, ref v1, ref v2, ref v3);
        v0 ^= last;
        v2 ^= 0xff;
        for (int i = 0; i < 3; i++) Round(ref v0, ref v1, ref v2, ref v3);
        return v0 ^ v1 ^ v2 ^ v3;
    }

    private static void Round(ref ulong v0, ref ulong v1, ref ulong v2, ref ulong v3)
    {
        v0 += v1;
        v2 += v3;
        v1 = BitOperations.RotateLeft(v1, 13) ^ v0;
        v3 = BitOperations.RotateLeft(v3, 16) ^ v2;
        v0 = BitOperations.RotateLeft(v0, 32);
        v2 += v1;
        v0 += v3;
        v1 = BitOperations.RotateLeft(v1, 17) ^ v2;
        v3 = BitOperations.RotateLeft(v3, 21) ^ v0;
        v2 = BitOperations.RotateLeft(v2, 32);
    }
}
