using System.Security.Cryptography;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>Files byte by byte.</summary>
internal static class Bytes
{
    private const int ChunkBytes = 1 << 20;

    /// <summary>Two files must have the same length and content.</summary>
    public static void RequireEqual(string expected, string actual)
    {
        using FileStream a = File.OpenRead(expected), b = File.OpenRead(actual);
        Assert.Equal(a.Length, b.Length);
        byte[] x = new byte[ChunkBytes], y = new byte[ChunkBytes];
        for (long offset = 0; ; offset += ChunkBytes)
        {
            int length = a.ReadAtLeast(x, ChunkBytes, throwOnEndOfStream: false);
            b.ReadAtLeast(y, ChunkBytes, throwOnEndOfStream: false);
            int same = x.AsSpan(0, length).CommonPrefixLength(y.AsSpan(0, length));
            Assert.True(same == length, $"{actual} differs from {expected} at {offset + same}");
            if (length < ChunkBytes) return;
        }
    }

    /// <summary>A file's SHA-256.</summary>
    public static string Hash(string path)
    {
        using FileStream file = File.OpenRead(path);
        return Convert.ToHexString(SHA256.HashData(file));
    }
}
