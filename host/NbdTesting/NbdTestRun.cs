using System.Diagnostics;
using StoragePlugins.Client;
using StoragePlugins.Host.Comparison;

namespace StoragePlugins.Host.NbdTesting;

/// <summary>Writes as a plan says, takes the time of every write and sync, and reads all of it back.</summary>
internal sealed class NbdTestRun(NbdDisk disk, NbdTestPlan plan, CancellationToken cancel)
{
    // What is read at once when an area is looked at.
    private const int ReadBytes = 1 << 20;

    private readonly long _run = DateTime.UtcNow.Ticks;
    private readonly byte[] _block = new byte[plan.BlockBytes];
    private readonly long[] _writes = new long[plan.Operations];
    private readonly long[] _operations = new long[plan.Operations];
    private readonly List<long> _flushes = new(1 + (plan.FlushEvery == 0 ? 0 : plan.Operations / plan.FlushEvery));

    /// <summary>Refuses to write over what no test has written.</summary>
    /// <exception cref="DiagnosticException">SP4233.</exception>
    public static void RequireUnused(NbdDisk disk, long bytes, CancellationToken cancel)
    {
        byte[] buffer = new byte[ReadBytes];
        for (long offset = 0; offset < bytes; offset += ReadBytes)
        {
            Span<byte> piece = buffer.AsSpan(0, (int)Math.Min(ReadBytes, bytes - offset));
            disk.Read(offset, piece);
            cancel.ThrowIfCancellationRequested();
            for (int at = 0; at < piece.Length; at += TestStamp.SectorBytes)
            {
                ReadOnlySpan<byte> sector = piece.Slice(at, TestStamp.SectorBytes);
                if (sector.IndexOfAnyExcept((byte)0) < 0 || TestStamp.Read(sector) is not null) continue;
                throw new DiagnosticException("SP4233", "the disk holds data, which the test would write over", disk.Uri.ToString(), "zeros, or what an earlier test wrote", $"something else at byte {offset + at}", "test an empty disk, or say --overwrite");
            }
        }
    }

    /// <summary>Runs it: the prefill, the timed writes, the flush at the end, and the reading.</summary>
    /// <exception cref="DiagnosticException">SP4234: something else is there than was written.</exception>
    public NbdTestFigures Run()
    {
        for (int write = 1; write <= plan.Prefill; write++)
        {
            TestStamp.Fill(_block, _run, plan, write);
            disk.Write(OffsetOf(write), _block);
            cancel.ThrowIfCancellationRequested();
        }

        if (plan.Prefill > 0) disk.Flush();
        long elapsed = 0;
        for (int i = 0; i < plan.Operations; i++)
        {
            int write = plan.Prefill + i + 1;
            TestStamp.Fill(_block, _run, plan, write);
            long begin = Stopwatch.GetTimestamp();
            disk.Write(OffsetOf(write), _block, forceUnitAccess: plan.Sync == NbdTestSync.Fua);
            long written = Stopwatch.GetTimestamp();
            if (plan.Sync == NbdTestSync.Barrier) disk.Barrier();
            else if (plan.Sync == NbdTestSync.Flush) disk.Flush();
            long synced = Stopwatch.GetTimestamp();
            (_writes[i], _operations[i]) = (written - begin, synced - begin);
            bool isLast = i + 1 == plan.Operations;
            if (isLast || (plan.FlushEvery > 0 && (i + 1) % plan.FlushEvery == 0))
            {
                disk.Flush();
                _flushes.Add(Stopwatch.GetTimestamp() - synced);
            }

            elapsed += Stopwatch.GetTimestamp() - begin;
            cancel.ThrowIfCancellationRequested();
        }

        Verify();
        return Figures(elapsed);
    }

    private long OffsetOf(int write) => (long)plan.BlockOf(write) * plan.BlockBytes;

    private void Verify()
    {
        byte[] expected = new byte[plan.BlockBytes];
        for (int write = plan.Prefill + 1; write <= plan.Writes; write++)
        {
            disk.Read(OffsetOf(write), _block);
            TestStamp.Fill(expected, _run, plan, write);
            int differs = _block.AsSpan().CommonPrefixLength(expected);
            cancel.ThrowIfCancellationRequested();
            if (differs == _block.Length) continue;
            throw new DiagnosticException("SP4234", "the disk does not show what was written", disk.Uri.ToString(), $"write {write}", $"something else at byte {OffsetOf(write) + differs}", "do not use this server");
        }
    }

    private NbdTestFigures Figures(long elapsed)
    {
        long[] syncs = [.. _operations.Zip(_writes, (operation, write) => operation - write)];
        double seconds = elapsed / (double)Stopwatch.Frequency;
        return new NbdTestFigures
        {
            Seconds = seconds,
            OperationsPerSecond = plan.Operations / seconds,
            MegabytesPerSecond = plan.AreaBytes / 1e6 / seconds,
            Operation = LatencyFigures.Of(_operations),
            Write = LatencyFigures.Of(_writes),
            Sync = plan.Sync is NbdTestSync.Barrier or NbdTestSync.Flush ? LatencyFigures.Of(syncs) : null,
            Flush = LatencyFigures.Of([.. _flushes]),
        };
    }
}

/// <summary>What was measured.</summary>
internal sealed record NbdTestFigures
{
    /// <summary>All writes, syncs and flushes, the last included; not the making of the data.</summary>
    public required double Seconds { get; init; }

    public required double OperationsPerSecond { get; init; }

    public required double MegabytesPerSecond { get; init; }

    /// <summary>A write with the sync that follows it.</summary>
    public required LatencyFigures Operation { get; init; }

    public required LatencyFigures Write { get; init; }

    /// <summary>What follows each write; null for nothing.</summary>
    public required LatencyFigures? Sync { get; init; }

    /// <summary>The flushes of <c>--flush-every</c>, and the one at the end.</summary>
    public required LatencyFigures Flush { get; init; }
}

/// <summary>Latencies in microseconds.</summary>
internal sealed record LatencyFigures(int Count, double Median, double P99, double Max)
{
    /// <param name="ticks">Of <see cref="Stopwatch"/>; at least one.</param>
    public static LatencyFigures Of(long[] ticks)
    {
        long[] sorted = [.. ticks.Order()];
        return new LatencyFigures(sorted.Length, Microseconds(Quantiles.Percentile(sorted, 0.5)), Microseconds(Quantiles.Percentile(sorted, 0.99)), Microseconds(sorted[^1]));
    }

    private static double Microseconds(long ticks) => Math.Round(ticks * 1e6 / Stopwatch.Frequency, 1);
}
