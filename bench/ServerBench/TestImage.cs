using System.Diagnostics;

namespace StoragePlugins.ServerBench;

/// <summary>Images to serve: fully allocated, of random bytes, in page cache.</summary>
internal static class TestImage
{
    private const int ChunkBytes = 4 * 1024 * 1024;

    public static string Create(string directory, string format, long size)
    {
        string raw = Path.Combine(directory, "bench.raw");
        WriteRandom(raw, size);
        if (format == "raw") return raw;

        string image = Path.Combine(directory, $"bench.{format}");
        using (Process convert = Process.Start("qemu-img", ["convert", "-f", "raw", "-O", format, raw, image]))
        {
            convert.WaitForExit();
            if (convert.ExitCode != 0) throw new InvalidOperationException("qemu-img convert failed");
        }

        File.Delete(raw);
        return image;
    }

    private static void WriteRandom(string path, long size)
    {
        byte[] chunk = new byte[ChunkBytes];
        new Random(1).NextBytes(chunk);
        using FileStream file = File.Create(path);
        for (long left = size; left > 0; left -= chunk.Length)
        {
            // Different everywhere, and cheap: the first bytes count.
            BitConverter.TryWriteBytes(chunk, left);
            file.Write(chunk, 0, (int)Math.Min(left, chunk.Length));
        }
    }
}
