namespace StoragePlugins.Host.Comparison;

/// <summary>Files made for a measurement: nothing of them is left to be written when it begins.</summary>
internal static class DurableFile
{
    private static readonly byte[] s_block = CreateBlock();

    /// <summary>fsync.</summary>
    public static void Flush(string path)
    {
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        RandomAccess.FlushToDisk(file);
    }

    /// <summary>Makes a file of this length with holes wherever nothing is written.</summary>
    /// <param name="path">A file that does not exist yet.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="written">Ranges with data, each at most <see cref="Workload.BlockBytes"/> long.</param>
    public static void Create(string path, long length, IEnumerable<(long Offset, int Length)> written)
    {
        using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write);
        RandomAccess.SetLength(file, length);
        foreach ((long offset, int count) in written) RandomAccess.Write(file, s_block.AsSpan(0, count), offset);
        RandomAccess.FlushToDisk(file);
    }

    /// <summary>Extends a file by a hole.</summary>
    public static void Extend(string path, long bytes)
    {
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite);
        RandomAccess.SetLength(file, RandomAccess.GetLength(file) + bytes);
        RandomAccess.FlushToDisk(file);
    }

    private static byte[] CreateBlock()
    {
        byte[] block = new byte[Workload.BlockBytes];
        Array.Fill(block, (byte)0x5a);
        return block;
    }
}
