using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Check;

/// <summary>
/// Checks an image that nobody has open against everything that README.md says is always true, and mends what follows from references. Written from the README;
/// shares with the code that writes images only the layout.
/// </summary>
/// <remarks>
/// <para>An image that was not closed is judged as it will be when its journal is home: the records that matter are applied in memory. It is mended only after
/// <c>sphost image recover</c>.</para>
/// <para>Any content is judged and none makes it fail. Memory: at most a bit and 4 bytes a block, 2 bits and 16 bytes an inode, and what the journal changes. Time: each block is read once or
/// twice a pass; a repair takes three passes. Not thread-safe.</para>
/// </remarks>
internal sealed class PmChecker(IStorageMedium medium)
{
    /// <summary>Checks, mends what <paramref name="mode"/> allows, and reports. Not durable on return.</summary>
    /// <exception cref="StorageException">Reading or writing failed.</exception>
    public CheckReport Run(RepairMode mode)
    {
        Pass first = Pass.Run(medium, null);
        if (mode == RepairMode.None || first.Scan is null) return Report(first, first);
        bool wasMended = mode == RepairMode.All && first.Superblock.Mend(() => new JournalReplay(new CheckedRegion(medium), first.Scan.Geometry, new CheckFindings()).Newest());
        if (!first.IsClean)
        {
            if (first.Corruptions + first.Leaks > 0) first.Total.Note("only the superblock was repaired, if at all: the image was not closed; 'sphost image recover' first");
        }
        else if (first.Scan.Findings.Corruptions + first.Scan.Findings.Leaks > 0)
        {
            CheckScan scan = first.Scan;
            var mender = new Mender(mode == RepairMode.All, !scan.HasBrokenDirectories, !scan.HasBrokenDirectories && !scan.HasBrokenPointers);
            if (!mender.FreesBlocks && scan.Findings.Leaks > 0) first.Total.Note("what nobody refers to was kept: it may belong to what is broken");
            Pass.Run(medium, mender);
            wasMended = true;
        }

        return Report(first, wasMended ? Pass.Run(medium, null) : first);
    }

    private static CheckReport Report(Pass first, Pass last)
    {
        IReadOnlyList<string> lines = first.Lines;
        if (first != last) lines = [.. lines, .. last.Lines.Select(line => $"after the repair: {line}")];
        return new CheckReport(
            last.Corruptions,
            last.Leaks,
            Math.Max(0, first.Corruptions - last.Corruptions),
            Math.Max(0, first.Leaks - last.Leaks),
            lines,
            (last.Scan?.DataBlocks ?? 0) << PmLayout.BlockShift,
            last.Superblock.Geometry?.Length ?? 0);
    }

    /// <summary>One look at everything.</summary>
    private sealed record Pass(SuperblockCheck Superblock, CheckFindings Total, CheckScan? Scan, bool IsClean)
    {
        public long Corruptions => Total.Corruptions + (Scan?.Findings.Corruptions ?? 0);

        public long Leaks => Total.Leaks + (Scan?.Findings.Leaks ?? 0);

        public IReadOnlyList<string> Lines => [.. Total.Lines, .. Scan?.Findings.Lines ?? []];

        public static Pass Run(IStorageMedium medium, Mender? mender)
        {
            var region = new CheckedRegion(medium);
            var findings = new CheckFindings();
            SuperblockCheck superblock = SuperblockCheck.Run(region, findings);
            if (superblock.Geometry is not { } geometry) return new Pass(superblock, findings, null, IsClean: false);
            int applied = superblock.Floor is { } floor ? new JournalReplay(region, geometry, findings).Run(floor) : 0;
            bool isClean = superblock is { IsInUse: false, Floor: not null } && applied == 0;
            if (applied > 0 && superblock.IsInUse == false) findings.Corruption($"journal: the image was closed, and {applied} records are above the floor");
            if (superblock.IsInUse == true) findings.Note($"the image was not closed: checked as it will be after recovery, with {applied} records of the journal");
            return new Pass(superblock, findings, CheckScan.Run(region, geometry, mender), isClean);
        }
    }
}
