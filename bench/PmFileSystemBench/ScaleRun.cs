using System.Diagnostics;
using System.Globalization;

namespace StoragePlugins.PmFileSystemBench;

/// <summary>An image that can be made, opened and used: what the scale run needs of a file system.</summary>
internal interface IScaleImage : IDisposable
{
    /// <summary>Its files.</summary>
    IFileTree Tree { get; }

    /// <summary>Opens a file by its path and closes it.</summary>
    void OpenAndClose(string path);

    /// <summary>Has all of the region's memory there, and in the page tables.</summary>
    void TouchAll();
}

/// <summary>Makes and opens images in a region.</summary>
internal interface IScaleSystem
{
    /// <summary>Makes an empty image.</summary>
    /// <param name="path">A file that does not exist yet.</param>
    /// <param name="bytes">Its length.</param>
    /// <param name="files">At least so many.</param>
    void Format(string path, long bytes, long files);

    IScaleImage Open(string path);
}

/// <summary>One size, and what each operation took there: median nanoseconds, by name.</summary>
/// <param name="Size">In words.</param>
/// <param name="Warm">One after the other, with the CPU's caches as they are.</param>
/// <param name="Cold">Each after the caches were filled with something else.</param>
internal sealed record ScaleRow(string Size, IReadOnlyDictionary<string, double> Warm, IReadOnlyDictionary<string, double> Cold);

/// <summary>What an operation costs as the file system grows: more files, a larger region.</summary>
internal sealed class ScaleRun(IScaleSystem system, Scratch scratch, Action<string> progress, CancellationToken stop)
{
    /// <summary>Holds a million inodes and what is appended, for every number of files alike.</summary>
    private const long RegionOfManyFiles = 2L << 30;

    /// <summary>The same table of inodes for every number of files, so that only the files differ.</summary>
    private const long InodesOfManyFiles = 1_200_000;

    private const int Mounts = 15;
    private const long WarmUpFiles = 100_000;
    private const int FilesInRegions = 16;
    private const int LargeFileBesideMany = 64 << 10;

    private static readonly long[] s_files = [1_000, 10_000, 100_000, 1_000_000];
    private static readonly long[] s_regions = [1 << 20, 16 << 20, 256 << 20, 2L << 30, 8L << 30];

    private readonly Random _random = new(3);

    /// <summary>Measures everything.</summary>
    public ScaleReport Run()
    {
        MachineFacts machine = MachineFacts.Read();
        // The runtime compiles what runs often once more: not in the smallest row.
        _ = WithFiles(WarmUpFiles);
        return new ScaleReport(
            machine,
            $"files in one directory, {MatrixReport.Size(RegionOfManyFiles)} region", [.. s_files.Select(WithFiles)],
            "region, half of it one file, which is appended to and overwritten (4 KiB)", [.. s_regions.Select(WithRegion)]);
    }

    private ScaleRow WithFiles(long files)
    {
        string title = files.ToString("N0", CultureInfo.InvariantCulture);
        progress($"{title} files");
        return OnImage(title, RegionOfManyFiles, InodesOfManyFiles, files, LargeFileBesideMany);
    }

    private ScaleRow WithRegion(long bytes)
    {
        progress($"{MatrixReport.Size(bytes)} region");
        return OnImage(MatrixReport.Size(bytes), bytes, FilesInRegions * 4, FilesInRegions, bytes / 2);
    }

    private ScaleRow OnImage(string title, long bytes, long mostFiles, long files, long largeFileBytes)
    {
        string path = Path.Combine(scratch.Path, "scale");
        try
        {
            system.Format(path, bytes, mostFiles);
            using (IScaleImage image = system.Open(path))
            {
                for (long i = 0; i < files; i++) ScaleProbe.Make(image.Tree, ScaleProbe.Name(i));
            }

            double mount = Statistics.Median([.. Enumerable.Range(0, Mounts).Select(_ => Mount(path))]);
            using IScaleImage open = system.Open(path);
            open.TouchAll();
            // Directories and inodes are in the page tables of this mapping then, too.
            for (long i = 0; i < files; i++) ScaleProbe.Find(open.Tree, ScaleProbe.Name(i));
            using var probe = new ScaleProbe(open, files, largeFileBytes, _random, stop);
            return new ScaleRow(title, With(probe.Measure(cold: false), mount), With(probe.Measure(cold: true), mount));
        }
        finally
        {
            File.Delete(path);
        }
    }

    private double Mount(string path)
    {
        stop.ThrowIfCancellationRequested();
        long start = Stopwatch.GetTimestamp();
        IScaleImage image = system.Open(path);
        double nanoseconds = ScaleProbe.Nanoseconds(Stopwatch.GetTimestamp() - start);
        image.Dispose();
        return nanoseconds;
    }

    private static Dictionary<string, double> With(Dictionary<string, double> figures, double mount)
    {
        figures[ScaleReport.Mount] = mount;
        return figures;
    }
}
