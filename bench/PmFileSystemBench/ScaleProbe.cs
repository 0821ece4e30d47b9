using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace StoragePlugins.PmFileSystemBench;

/// <summary>Times the operations on one open image.</summary>
internal sealed class ScaleProbe : IDisposable
{
    private const int RecordBytes = 4096;

    /// <summary>Warm operations between two looks at the clock, which itself takes 25 ns; a 1 MiB region has room for as many appends.</summary>
    private const int Batch = 16;

    private const int WarmBatches = 400;
    private const int ColdOperations = 150;

    /// <summary>Twice the last-level cache of the machines that this runs on.</summary>
    private const int SweepBytes = 64 << 20;

    /// <summary>A regular file, 0644.</summary>
    private const uint RegularFile = 0x81a4;

    private readonly IScaleImage _image;
    private readonly IFileTree _tree;
    private readonly long _files;
    private readonly long _largeBytes;
    private readonly ulong _large;
    private readonly Random _random;
    private readonly CancellationToken _stop;
    private readonly byte[] _record = new byte[RecordBytes];
    private readonly byte[] _sweep = new byte[SweepBytes];
    private int _made;
    private bool _cold;

    /// <param name="image">The image; files 0 to <paramref name="files"/> − 1 are in its root, as <see cref="Name"/> calls them.</param>
    /// <param name="files">How many.</param>
    /// <param name="largeBytes">The length of a further file, which is made here.</param>
    /// <param name="random">Chooses.</param>
    /// <param name="stop">Ends it.</param>
    public ScaleProbe(IScaleImage image, long files, long largeBytes, Random random, CancellationToken stop)
    {
        (_image, _tree, _files, _largeBytes, _random, _stop) = (image, image.Tree, files, largeBytes, random, stop);
        _large = Make(_tree, "large"u8.ToArray(), keep: true);
        byte[] piece = new byte[64 << 10];
        for (long done = 0; done < largeBytes; done += piece.Length) Check(_tree.Write(_large, done, piece.AsSpan(0, (int)Math.Min(piece.Length, largeBytes - done))));
    }

    /// <summary>Median nanoseconds of each operation.</summary>
    /// <param name="cold">Whether the CPU's caches are filled with something else before each operation.</param>
    public Dictionary<string, double> Measure(bool cold)
    {
        _cold = cold;
        return new Dictionary<string, double>
        {
            ["create"] = Time(NewName, name => Make(_tree, name), name => Check(_tree.Remove(_tree.RootNode, name))),
            ["lookup"] = Time(AnyName, name => Find(_tree, name)),
            ["open"] = Time(() => "/" + Encoding.ASCII.GetString(AnyName()), _image.OpenAndClose),
            ["append"] = Time(() => 0, _ => Check(_tree.Append(_large, _record, out long _)), _ => CutLarge()),
            ["overwrite"] = Time(() => _random.NextInt64(_largeBytes / RecordBytes) * RecordBytes, offset => Check(_tree.Write(_large, offset, _record))),
        };
    }

    public static byte[] Name(long number) => Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"file{number}"));

    public static ulong Make(IFileTree tree, byte[] name, bool keep = false)
    {
        Check(tree.Create(tree.RootNode, name, new NodeRequest(RegularFile, 0, 0), out NodeAttributes made));
        if (!keep) tree.Forget(made.Node, 1);
        return made.Node;
    }

    public static void Find(IFileTree tree, byte[] name)
    {
        Check(tree.Lookup(tree.RootNode, name, out NodeAttributes found));
        tree.Forget(found.Node, 1);
    }

    public static double Nanoseconds(long ticks) => ticks * 1e9 / Stopwatch.Frequency;

    public void Dispose()
    {
        Check(_tree.Remove(_tree.RootNode, "large"u8));
        _tree.Forget(_large, 1);
    }

    // Subjects are made before the clock runs, and what was done is taken back after it stopped.
    private double Time<T>(Func<T> subject, Action<T> operation, Action<T>? undo = null)
    {
        var times = new List<double>();
        T[] chosen = new T[_cold ? 1 : Batch];
        for (int batch = _cold ? ColdOperations : WarmBatches; batch > 0; batch--)
        {
            _stop.ThrowIfCancellationRequested();
            for (int i = 0; i < chosen.Length; i++) chosen[i] = subject();
            if (_cold) Sweep();
            long start = Stopwatch.GetTimestamp();
            foreach (T one in chosen) operation(one);
            times.Add(Nanoseconds(Stopwatch.GetTimestamp() - start) / chosen.Length);
            if (undo is null) continue;
            foreach (T one in chosen) undo(one);
        }

        return Statistics.Median(times);
    }

    private void Sweep()
    {
        for (int i = 0; i < _sweep.Length; i += 64) _sweep[i]++;
    }

    private byte[] AnyName() => Name(_random.NextInt64(_files));

    private byte[] NewName() => Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"new{_made++}"));

    private void CutLarge()
    {
        var change = new AttributeChange { Size = _largeBytes };
        Check(_tree.SetAttributes(_large, change, out NodeAttributes _));
    }

    private static void Check(FileError error)
    {
        if (error != FileError.None) throw new BenchException($"an operation of the scale run failed: {error}");
    }
}
