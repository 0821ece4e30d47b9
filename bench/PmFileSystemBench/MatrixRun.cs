using System.Diagnostics;

namespace StoragePlugins.PmFileSystemBench;

/// <summary>Measures every cell on every volume in turn, round after round, so that the machine's moods meet all of them alike.</summary>
/// <param name="volumes">Who is measured.</param>
/// <param name="rounds">Times that each cell comes up.</param>
/// <param name="progress">Told what is measured.</param>
internal sealed class MatrixRun(IReadOnlyList<IBenchVolume> volumes, int rounds, Action<string> progress)
{
    /// <summary>Small files are measured again and again until this much was written; the figure of the round is the median.</summary>
    private const long BytesPerRound = 48L << 20;

    /// <summary>No more times than that; a synchronous file of 1 MiB takes 45 ms on ext4, so it gets fewer.</summary>
    private const int MaxRepetitions = 32;

    private const int MaxSynchronousRepetitions = 8;

    private const int RehearsalRecord = 1 << 20;

    /// <summary>The runtime compiles what runs often once more, in the background, after 100 ms.</summary>
    private static readonly TimeSpan s_warmUp = TimeSpan.FromMilliseconds(800);

    // Not somebody else's, in a directory that we were given.
    private static readonly string s_name = $"pmfsbench-{Environment.ProcessId}";

    private readonly Dictionary<(Setting Setting, string Volume), List<double>> _figures = [];
    private readonly byte[] _data = RandomBytes();

    /// <summary>Every round's bytes per second, by setting and volume.</summary>
    public IReadOnlyDictionary<(Setting Setting, string Volume), List<double>> Figures => _figures;

    private void WarmUp()
    {
        var cell = new Cell(1 << 20, 4096);
        foreach (IBenchVolume volume in volumes)
        {
            for (var time = Stopwatch.StartNew(); time.Elapsed < s_warmUp;) Measure(volume, SyncMode.FSync, cell, 1, (_, _) => { });
        }
    }

    /// <summary>Measures, round after round.</summary>
    /// <param name="plan">What, in this order.</param>
    /// <param name="stop">Ends it between two measurements.</param>
    public void Run(IReadOnlyList<(SyncMode Mode, Cell Cell)> plan, CancellationToken stop)
    {
        WarmUp();
        for (int round = 0; round < rounds; round++)
        {
            foreach ((SyncMode mode, IEnumerable<Cell> cells) in plan.GroupBy(step => step.Mode, step => step.Cell).Select(group => (group.Key, group.AsEnumerable())))
            {
                progress($"round {round + 1} of {rounds}: {MatrixFigures.Name(mode)}");
                foreach (Cell cell in cells) MeasureAll(round, mode, cell, stop);
            }
        }
    }

    private void MeasureAll(int round, SyncMode mode, Cell cell, CancellationToken stop)
    {
        int repetitions = (int)Math.Clamp(BytesPerRound / cell.FileBytes, 1, mode == SyncMode.OSync ? MaxSynchronousRepetitions : MaxRepetitions);
        for (int turn = 0; turn < volumes.Count; turn++)
        {
            stop.ThrowIfCancellationRequested();
            // Nobody always comes after the same other one.
            IBenchVolume volume = volumes[(turn + round) % volumes.Count];
            var speeds = Enum.GetValues<Pass>().ToDictionary(pass => pass, _ => new List<double>());
            Measure(volume, mode, cell, repetitions, (pass, seconds) => speeds[pass].Add(cell.FileBytes / seconds));
            foreach ((Pass pass, List<double> all) in speeds) Keep(new Setting(mode, pass, cell), volume.Name, Statistics.Median(all));
        }
    }

    private void Keep(Setting setting, string volume, double figure)
    {
        if (!_figures.TryGetValue((setting, volume), out List<double>? figures)) _figures[(setting, volume)] = figures = [];
        figures.Add(figure);
    }

    private void Measure(IBenchVolume volume, SyncMode mode, Cell cell, int repetitions, Action<Pass, double> result)
    {
        bool synchronous = mode == SyncMode.OSync;
        long[] inOrder = new long[cell.FileBytes / cell.RecordBytes];
        for (int i = 0; i < inOrder.Length; i++) inOrder[i] = (long)i * cell.RecordBytes;
        long[] shuffled = [.. inOrder];
        new Random(inOrder.Length).Shuffle(shuffled);

        Rehearse(volume, cell.FileBytes);
        for (int repetition = 0; repetition < repetitions; repetition++)
        {
            using (IBenchFile file = volume.Create(s_name, synchronous)) result(Pass.Write, Time(file, mode, inOrder, cell.RecordBytes));
            using (IBenchFile file = volume.Open(s_name, synchronous)) result(Pass.Rewrite, Time(file, mode, inOrder, cell.RecordBytes));
            using (IBenchFile file = volume.Open(s_name, synchronous)) result(Pass.RandomWrite, Time(file, mode, shuffled, cell.RecordBytes));
            volume.Delete(s_name);
        }

        volume.Settle();
    }

    // In a virtual machine a page that was never used, or that the balloon took back, costs the host 10 µs at its first touch: a page cache would seem ten times
    // slower than it is (400 instead of 4500 MB/s). A file of the same size, never written back, leaves such pages to the file that is measured.
    private void Rehearse(IBenchVolume volume, long bytes)
    {
        using (IBenchFile file = volume.Create(s_name, synchronous: false))
        {
            int piece = (int)Math.Min(bytes, RehearsalRecord);
            for (long offset = 0; offset < bytes; offset += piece) file.Write(offset, _data.AsSpan(0, piece));
        }

        volume.Delete(s_name);
    }

    // Opening and closing are outside the time, and so is the fsync that IOzone makes without -e: nobody is measured while another's data is written back.
    private double Time(IBenchFile file, SyncMode mode, long[] offsets, int recordBytes)
    {
        ReadOnlySpan<byte> record = _data.AsSpan(0, recordBytes);
        long start = Stopwatch.GetTimestamp();
        foreach (long offset in offsets) file.Write(offset, record);
        if (mode == SyncMode.FSync) file.Flush();
        long ticks = Stopwatch.GetTimestamp() - start;
        if (mode == SyncMode.None) file.Flush();
        return (double)ticks / Stopwatch.Frequency;
    }

    private static byte[] RandomBytes()
    {
        // Pinned and aligned by the runtime's own large allocation; the same buffer again and again, as IOzone does.
        byte[] data = GC.AllocateUninitializedArray<byte>(Matrix.LargestRecord, pinned: true);
        new Random(2).NextBytes(data);
        return data;
    }
}
