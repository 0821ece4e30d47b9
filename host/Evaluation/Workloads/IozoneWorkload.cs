using System.Diagnostics;
using StoragePlugins.Host.Evaluation.Places;
using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>One cell of IOzone's write matrix, test 0 of <c>iozone -a</c>: a file written record by record, or written again.</summary>
/// <param name="cell">File and record.</param>
/// <param name="rewrites">The second pass, over what the first one wrote.</param>
/// <param name="countsSync"><c>-e</c>: the fsync at the end is in the time. Otherwise it comes after the clock has stopped.</param>
internal sealed class IozoneWorkload(IozoneCell cell, bool rewrites, bool countsSync) : EvaluationWorkload
{
    // Small files are repeated until a clock can tell them apart; each is a new one.
    private static readonly Scaled s_bytes = new(8 << 20, 48 << 20, 48 << 20);
    private const int MaxRepetitions = 64;

    // The same one for every record, as IOzone does: it is read from the CPU's cache.
    private static readonly byte[] s_data = RandomBytes();

    /// <summary>File and record.</summary>
    public IozoneCell Cell => cell;

    /// <summary>Whether it is the second pass.</summary>
    public bool Rewrites => rewrites;

    /// <summary>Whether the fsync is in the time.</summary>
    public bool CountsSync => countsSync;

    public override WorkloadFacts Facts => new(
        $"iozone-{(rewrites ? "rewrite" : "write")}{(countsSync ? "-e" : "")}-{Short(cell.FileBytes)}-{Short(cell.RecordBytes)}",
        $"IOzone {(rewrites ? "rewrite" : "write")}{(countsSync ? " -e" : "")}, {Long(cell.FileBytes)} file, {Long(cell.RecordBytes)} records",
        $"iozone -a, test 0, {(rewrites ? "second pass (rewrite)" : "first pass (write)")}{(countsSync ? ", -e: fsync in the time" : ", fsync after the clock has stopped")}; file {Long(cell.FileBytes)}, record {Long(cell.RecordBytes)}; our implementation of its definition",
        $"{Long(cell.RecordBytes)} write");

    public override long DiskBytes(WorkloadSize size) => cell.FileBytes;

    public override WorkloadResult Run(WorkloadRun run)
    {
        int repetitions = (int)Math.Clamp(run.Size.Operations(s_bytes) / cell.FileBytes, 1, MaxRepetitions);
        var files = (IRecordVolume)run.Volume;
        Rehearse(files);
        run.BeginTimed();
        long ticks = 0;
        for (int repetition = 0; repetition < repetitions; repetition++)
        {
            run.Cancel.ThrowIfCancellationRequested();
            string name = $"{Name}-{repetition}";
            using (IRecordFile file = files.Create(name))
            {
                long first = Pass(file), second = rewrites ? Pass(file) : 0;
                ticks += rewrites ? second : first;
            }

            files.Delete(name);
        }

        run.EndTimed();
        long bytes = cell.FileBytes * repetitions;
        return new WorkloadResult(bytes / cell.RecordBytes, ticks / (double)Stopwatch.Frequency, bytes, Latencies: null);
    }

    // In a virtual machine a page that was never used, or that the balloon took back, costs the host 10 µs at its first touch: a page cache would seem ten times
    // slower than it is. A file of the same size leaves such pages to the file that is measured.
    private void Rehearse(IRecordVolume files)
    {
        string name = Name + "-rehearsal";
        using (IRecordFile file = files.Create(name))
        {
            int piece = (int)Math.Min(cell.FileBytes, s_data.Length);
            for (long offset = 0; offset < cell.FileBytes; offset += piece) file.Write(s_data.AsSpan(0, piece), offset);
            if (rewrites || countsSync) _ = Pass(file);
        }

        files.Delete(name);
    }

    /// <returns>Ticks.</returns>
    private long Pass(IRecordFile file)
    {
        ReadOnlySpan<byte> record = s_data.AsSpan(0, (int)cell.RecordBytes);
        long start = Stopwatch.GetTimestamp();
        for (long offset = 0; offset < cell.FileBytes; offset += cell.RecordBytes) file.Write(record, offset);
        if (countsSync) file.Sync();
        long ticks = Stopwatch.GetTimestamp() - start;
        // Nobody is measured while another's data is written back.
        if (!countsSync) file.Sync();
        return ticks;
    }

    private static string Short(long bytes) => bytes >= 1 << 20 ? $"{bytes >> 20}m" : $"{bytes >> 10}k";

    private static string Long(long bytes) => Quantities.FormatSize(bytes);

    private static byte[] RandomBytes()
    {
        byte[] data = GC.AllocateUninitializedArray<byte>((int)IozoneCell.LargestRecord, pinned: true);
        new Random(1).NextBytes(data);
        return data;
    }
}

/// <summary>A cell of IOzone's automatic mode.</summary>
/// <param name="FileBytes">Length of the file.</param>
/// <param name="RecordBytes">Length of a record.</param>
internal sealed record IozoneCell(long FileBytes, long RecordBytes)
{
    /// <summary>The largest record of the matrix.</summary>
    public const long LargestRecord = 16 << 20;

    private const long KiB = 1 << 10, MiB = 1 << 20;

    /// <summary>Larger files are written with records of 64 KiB and more (CROSSOVER in iozone.c).</summary>
    private const long Crossover = 16 * MiB;

    /// <summary><c>iozone -a</c>: files of 64 KiB to 512 MiB, records of 4 KiB to 16 MiB, powers of two, the record not larger than the file.</summary>
    public static IEnumerable<IozoneCell> Matrix()
    {
        for (long file = 64 * KiB; file <= 512 * MiB; file *= 2)
        {
            for (long record = file > Crossover ? 64 * KiB : 4 * KiB; record <= Math.Min(file, LargestRecord); record *= 2) yield return new IozoneCell(file, record);
        }
    }

    /// <summary>Corners and middle of the matrix.</summary>
    public static IEnumerable<IozoneCell> Few() => [new(64 * KiB, 4 * KiB), new(MiB, 4 * KiB), new(MiB, 64 * KiB), new(16 * MiB, 64 * KiB), new(16 * MiB, MiB)];

    /// <summary>Every other file size and record size, to 64 MiB.</summary>
    public static IEnumerable<IozoneCell> Some() => Matrix().Where(cell => cell.FileBytes is 64 * KiB or MiB or 16 * MiB or 64 * MiB && long.Log2(cell.RecordBytes) % 2 == 0);
}
