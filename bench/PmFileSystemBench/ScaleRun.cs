using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;

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
internal sealed record ScaleRow(string Size, IReadOnlyDictionary<string, double> Nanoseconds);

/// <summary>What an operation costs as the file system grows: more files, a larger region.</summary>
internal sealed class ScaleRun(IScaleSystem system, Scratch scratch, Action<string> progress, CancellationToken stop)
{
    /// <summary>The names of the operations, in the order of the table.</summary>
    private static string[] Operations { get; } = ["mount", "create", "lookup", "open", "append", "overwrite"];

    /// <summary>Holds a million inodes and what is appended, for every number of files alike.</summary>
    private const long RegionOfManyFiles = 2L << 30;

    private const int RecordBytes = 4096;

    /// <summary>Operations between two looks at the clock, which itself takes 25 ns; a 1 MiB region has room for as many appends.</summary>
    private const int Batch = 16;

    private const int Batches = 400;
    private const int Mounts = 15;
    private const long WarmUpFiles = 100_000;

    /// <summary>The same table of inodes for every number of files, so that only the files differ.</summary>
    private const long InodesOfManyFiles = 1_200_000;

    /// <summary>A regular file, 0644.</summary>
    private const uint RegularFile = 0x81a4;

    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    private readonly byte[] _record = new byte[RecordBytes];
    private readonly Random _random = new(3);

    private ScaleRow[] ByFiles() => [.. ((long[])[1_000, 10_000, 100_000, 1_000_000]).Select(WithFiles)];

    /// <summary>Measures and prints both tables.</summary>
    public void Run(bool json)
    {
        MachineFacts machine = MachineFacts.Read();
        // The runtime compiles what runs often once more: not in the smallest row.
        _ = WithFiles(WarmUpFiles);
        ScaleRow[] byFiles = ByFiles(), byBytes = ByBytes();
        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(new { machine, byFiles, byBytes }, s_json));
            return;
        }

        Console.WriteLine(machine);
        Console.WriteLine("DRAM stands in for persistent memory. Memory and page tables are there before anything is timed but mounts. Needed: no more than 2x.");
        Console.WriteLine();
        Console.WriteLine(Table($"files in one directory, {MatrixReport.Size(RegionOfManyFiles)} region", byFiles));
        Console.Write(Table("region, half of it one file that is appended to and overwritten (4 KiB)", byBytes));
    }

    private ScaleRow[] ByBytes() => [.. ((long[])[1 << 20, 16 << 20, 256 << 20, 2L << 30, 8L << 30]).Select(WithBytes)];

    /// <summary>A table, and below it what each column grew by.</summary>
    private static string Table(string title, ScaleRow[] rows)
    {
        var text = new StringBuilder().AppendLine(CultureInfo.InvariantCulture, $"{title}: median ns, and the ratio to the smallest");
        text.Append(CultureInfo.InvariantCulture, $"{"",10}");
        foreach (string operation in Operations) text.Append(CultureInfo.InvariantCulture, $"{operation,12}        ");
        text.AppendLine();
        foreach (ScaleRow row in rows)
        {
            text.Append(CultureInfo.InvariantCulture, $"{row.Size,10}");
            foreach (string operation in Operations)
                text.Append(CultureInfo.InvariantCulture, $"{row.Nanoseconds[operation],12:0}{row.Nanoseconds[operation] / rows[0].Nanoseconds[operation],7:0.00}x");
            text.AppendLine();
        }

        return text.ToString();
    }

    private ScaleRow WithFiles(long files)
    {
        progress(string.Create(CultureInfo.InvariantCulture, $"{files:N0} files"));
        return OnImage(RegionOfManyFiles, InodesOfManyFiles, image =>
        {
            for (long i = 0; i < files; i++) Make(image.Tree, Name(i));
        }, files.ToString("N0", CultureInfo.InvariantCulture), largeFileBytes: Batch * RecordBytes, () => Name(_random.NextInt64(files)));
    }

    private ScaleRow WithBytes(long bytes)
    {
        progress($"{MatrixReport.Size(bytes)} region");
        const int Files = 16;
        return OnImage(bytes, Files * 4, image =>
        {
            for (int i = 0; i < Files; i++) Make(image.Tree, Name(i));
        }, MatrixReport.Size(bytes), largeFileBytes: bytes / 2, () => Name(_random.Next(Files)));
    }

    private ScaleRow OnImage(long bytes, long mostFiles, Action<IScaleImage> populate, string title, long largeFileBytes, Func<byte[]> anyName)
    {
        string path = Path.Combine(scratch.Path, "scale");
        try
        {
            system.Format(path, bytes, mostFiles);
            using (IScaleImage image = system.Open(path)) populate(image);
            double mount = Statistics.Median([.. Enumerable.Range(0, Mounts).Select(_ => Mount(path))]);
            using IScaleImage open = system.Open(path);
            open.TouchAll();
            ulong large = Make(open.Tree, "large"u8.ToArray(), keep: true);
            Fill(open.Tree, large, largeFileBytes);
            var row = new ScaleRow(title, new Dictionary<string, double>
            {
                ["mount"] = mount,
                ["create"] = Create(open.Tree),
                ["lookup"] = Measure(Batches, () => Several(anyName), name => Find(open.Tree, name)),
                ["open"] = Measure(Batches, () => Several(() => "/" + Encoding.ASCII.GetString(anyName())), open.OpenAndClose),
                ["append"] = Append(open.Tree, large, largeFileBytes),
                ["overwrite"] = Measure(
                    Batches, () => Several(() => _random.NextInt64(largeFileBytes / RecordBytes) * RecordBytes),
                    offset => Check(open.Tree.Write(large, offset, _record))),
            });
            open.Tree.Forget(large, 1);
            return row;
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
        double nanoseconds = Nanoseconds(Stopwatch.GetTimestamp() - start);
        image.Dispose();
        return nanoseconds;
    }

    private double Create(IFileTree tree)
    {
        int made = 0;
        return Measure(
            Batches,
            () => Several(() => Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"new{made++}"))),
            name => Make(tree, name),
            names =>
            {
                foreach (byte[] name in names) Check(tree.Remove(tree.RootNode, name));
            });
    }

    private double Append(IFileTree tree, ulong file, long length) => Measure(
        Batches, () => new int[Batch], _ => Check(tree.Append(file, _record, out long _)),
        _ => Check(tree.SetAttributes(file, new AttributeChange { Size = length }, out NodeAttributes _)));

    private static T[] Several<T>(Func<T> make) => [.. Enumerable.Range(0, Batch).Select(_ => make())];

    // Subjects are made before the clock runs, and what was done is taken back after it stopped.
    private double Measure<T>(int batches, Func<T[]> subjects, Action<T> operation, Action<T[]>? undo = null)
    {
        var times = new List<double>(batches);
        for (int batch = 0; batch < batches; batch++)
        {
            stop.ThrowIfCancellationRequested();
            T[] chosen = subjects();
            long start = Stopwatch.GetTimestamp();
            foreach (T subject in chosen) operation(subject);
            times.Add(Nanoseconds(Stopwatch.GetTimestamp() - start) / Batch);
            undo?.Invoke(chosen);
        }

        return Statistics.Median(times);
    }

    private static void Fill(IFileTree tree, ulong file, long bytes)
    {
        byte[] piece = new byte[64 << 10];
        for (long done = 0; done < bytes; done += piece.Length) Check(tree.Write(file, done, piece.AsSpan(0, (int)Math.Min(piece.Length, bytes - done))));
    }

    private static ulong Make(IFileTree tree, byte[] name, bool keep = false)
    {
        Check(tree.Create(tree.RootNode, name, new NodeRequest(RegularFile, 0, 0), out NodeAttributes made));
        if (!keep) tree.Forget(made.Node, 1);
        return made.Node;
    }

    private static void Find(IFileTree tree, byte[] name)
    {
        Check(tree.Lookup(tree.RootNode, name, out NodeAttributes found));
        tree.Forget(found.Node, 1);
    }

    private static byte[] Name(long number) => Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"file{number}"));

    private static void Check(FileError error)
    {
        if (error != FileError.None) throw new BenchException($"an operation of the scale run failed: {error}");
    }

    private static double Nanoseconds(long ticks) => ticks * 1e9 / Stopwatch.Frequency;
}
