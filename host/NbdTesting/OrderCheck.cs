using StoragePlugins.Client;

namespace StoragePlugins.Host.NbdTesting;

/// <summary>What an interrupted test left, and whether the order that it asked for was kept.</summary>
/// <param name="Plan">What the run did.</param>
/// <param name="LastWrite">The newest write of which anything is there.</param>
/// <param name="CompleteWrites">Writes that are wholly there, or were written over by a later one that is.</param>
/// <param name="Broken">What is missing though something is there that came after a barrier behind it; null when order was kept.</param>
internal sealed record OrderVerdict(NbdTestPlan Plan, int LastWrite, int CompleteWrites, string? Broken);

/// <summary>
/// Reads the disk on which a test was interrupted, by a power cut or the server's death, and judges: of a write that came after a barrier (or a flush, or a
/// durable write) nothing is there unless everything before it is.
/// </summary>
internal static class OrderCheck
{
    /// <summary>The most that one plan may claim: what stamps say is not trusted.</summary>
    public const long MaxAreaBytes = 1L << 40;

    private const int NotThere = 0;

    /// <summary>Judges the newest run on the disk.</summary>
    /// <exception cref="DiagnosticException">SP4235: there is none.</exception>
    public static OrderVerdict Judge(NbdDisk disk, CancellationToken cancel)
    {
        TestStamp newest = FindNewest(disk, cancel) ?? throw new DiagnosticException("SP4235", "no test has written to this disk", disk.Uri.ToString(), fix: "run sphost nbd-test on it first, without --check");
        NbdTestPlan plan = newest.Plan;
        int[] oldest = ReadBlocks(disk, plan, newest.Run, cancel, out int last);
        int complete = 0;
        string? broken = null;
        int epoch = plan.EpochOf(last);
        for (int write = 1; write <= last; write++)
        {
            bool isThere = oldest[plan.BlockOf(write)] >= write;
            if (isThere) complete++;
            else if (broken is null && plan.EpochOf(write) < epoch)
                broken = $"write {write} (byte {(long)plan.BlockOf(write) * plan.BlockBytes}, epoch {plan.EpochOf(write)}) is missing, though write {last} of epoch {epoch} is there";
        }

        return new OrderVerdict(plan, last, complete, broken);
    }

    // A plan's area begins at 0 and holds its stamps; a run that was cut short may have left the first block without one.
    private static TestStamp? FindNewest(NbdDisk disk, CancellationToken cancel)
    {
        const int ReadBytes = 1 << 20;
        byte[] buffer = new byte[ReadBytes];
        TestStamp? newest = null;
        long end = disk.Size;
        for (long offset = 0; offset < end; offset += ReadBytes)
        {
            Span<byte> piece = buffer.AsSpan(0, (int)Math.Min(ReadBytes, end - offset));
            disk.Read(offset, piece);
            cancel.ThrowIfCancellationRequested();
            for (int at = 0; at + TestStamp.SectorBytes <= piece.Length; at += TestStamp.SectorBytes)
            {
                if (TestStamp.Read(piece.Slice(at, TestStamp.SectorBytes)) is not { } stamp || !IsPossible(stamp, offset + at, disk.Size)) continue;
                if (newest is null || stamp.Run > newest.Value.Run) newest = stamp;
            }

            // Nothing of any run is beyond the area of the runs that were found.
            if (newest is { } found && offset + ReadBytes >= found.Plan.AreaBytes) end = Math.Min(end, found.Plan.AreaBytes);
        }

        return newest;
    }

    private static bool IsPossible(in TestStamp stamp, long offset, long size)
    {
        NbdTestPlan plan = stamp.Plan;
        return stamp.Offset == offset && plan.Operations > 0 && plan.BlockBytes >= TestStamp.SectorBytes && plan.BlockBytes % TestStamp.SectorBytes == 0
            && plan.AreaBytes <= Math.Min(size, MaxAreaBytes) && plan.FlushEvery >= 0 && Enum.IsDefined(plan.Workload) && Enum.IsDefined(plan.Sync)
            && stamp.Write >= 1 && stamp.Write <= plan.Writes && (long)plan.BlockOf(stamp.Write) * plan.BlockBytes == offset / plan.BlockBytes * plan.BlockBytes;
    }

    // Of each block the oldest write that any of its sectors shows: that one and those before it are wholly there.
    private static int[] ReadBlocks(NbdDisk disk, NbdTestPlan plan, long run, CancellationToken cancel, out int last)
    {
        int[] oldest = new int[plan.Operations];
        byte[] block = new byte[plan.BlockBytes];
        last = 0;
        for (int b = 0; b < plan.Operations; b++)
        {
            long offset = (long)b * plan.BlockBytes;
            disk.Read(offset, block);
            cancel.ThrowIfCancellationRequested();
            oldest[b] = int.MaxValue;
            for (int at = 0; at < block.Length; at += TestStamp.SectorBytes)
            {
                TestStamp? stamp = TestStamp.Read(block.AsSpan(at, TestStamp.SectorBytes));
                int write = stamp is { } ours && ours.Run == run && IsPossible(ours, offset + at, disk.Size) ? ours.Write : NotThere;
                last = Math.Max(last, write);
                oldest[b] = Math.Min(oldest[b], write);
            }
        }

        return oldest;
    }
}
