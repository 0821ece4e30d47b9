using System.Globalization;

namespace StoragePlugins.PmFileSystemBench;

/// <summary>The folder in memory for everything that a run makes. What a killed run left behind, the next one deletes.</summary>
internal sealed class Scratch : IDisposable
{
    private const string Root = "/dev/shm";
    private const string Prefix = "pmfsbench-";

    /// <summary>Regions are filled in pieces of this size.</summary>
    public const int PieceBytes = 1 << 20;

    public Scratch()
    {
        foreach (string left in System.IO.Directory.EnumerateDirectories(Root, Prefix + "*"))
        {
            bool isOurs = int.TryParse(System.IO.Path.GetFileName(left).AsSpan(Prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int process);
            if (isOurs && !System.IO.Directory.Exists($"/proc/{process}")) System.IO.Directory.Delete(left, recursive: true);
        }

        Path = System.IO.Directory.CreateDirectory(System.IO.Path.Combine(Root, $"{Prefix}{Environment.ProcessId}")).FullName;
    }

    /// <summary>Its path.</summary>
    public string Path { get; }

    /// <summary>Makes a file of random bytes, so that all of its memory is there.</summary>
    public string MakeRegion(string name, long bytes)
    {
        string path = System.IO.Path.Combine(Path, name);
        Fill(path, bytes);
        return path;
    }

    /// <summary>Writes random bytes over a file or device.</summary>
    public static void Fill(string path, long bytes)
    {
        byte[] piece = new byte[PieceBytes];
        new Random(1).NextBytes(piece);
        using FileStream file = new(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.None, bufferSize: 0);
        for (long done = 0; done < bytes; done += piece.Length) file.Write(piece, 0, (int)Math.Min(piece.Length, bytes - done));
    }

    public void Dispose() => System.IO.Directory.Delete(Path, recursive: true);
}
