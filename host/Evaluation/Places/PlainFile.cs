using Microsoft.Win32.SafeHandles;
using StoragePlugins.Host.Comparison;
using StoragePlugins.Media;

namespace StoragePlugins.Host.Evaluation.Places;

/// <summary>A file in place of a disk, every byte of which was written before: no format, no process, nothing left to be allocated.</summary>
internal sealed class PlainFile : IDiskExport
{
    private const int PieceBytes = 64 << 20;

    private PlainFile(string file) => File = file;

    /// <inheritdoc/>
    public string File { get; }

    /// <inheritdoc/>
    public StorageCounts? Counts => null;

    /// <summary>Makes it.</summary>
    /// <param name="file">A file that does not exist yet.</param>
    /// <param name="bytes">A multiple of 1 MiB.</param>
    /// <param name="cancel">Ends it.</param>
    public static PlainFile Make(string file, long bytes, CancellationToken cancel)
    {
        DurableFile.Create(file, bytes, []);
        using SafeFileHandle handle = System.IO.File.OpenHandle(file, FileMode.Open, FileAccess.ReadWrite);
        using var direct = new DirectWriter(handle);
        byte[] zeros = new byte[1 << 20];
        for (long done = 0; done < bytes; done += PieceBytes)
        {
            cancel.ThrowIfCancellationRequested();
            long piece = Math.Min(PieceBytes, bytes - done);
            // Past the page cache where that can be: the file is as little in memory as the images are.
            if (direct.TryWriteZeros(done, piece)) continue;
            for (long offset = done; offset < done + piece; offset += zeros.Length) RandomAccess.Write(handle, zeros, offset);
        }

        RandomAccess.FlushToDisk(handle);
        return new PlainFile(file);
    }

    /// <inheritdoc/>
    public void Close()
    {
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
