using System.Buffers.Binary;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Check;

/// <summary>
/// Checks an image that nobody writes: counts the references to every host cluster, compares them with the stored refcounts, and judges
/// flags, reserved bits, places and overlaps. Verdicts agree with <c>qemu-img check</c>, and are stricter where one cluster serves two purposes.
/// </summary>
/// <remarks>
/// <para>Shares no code with what allocates or maps clusters. Memory: at most 16 bytes per cluster of the file. Not thread-safe.</para>
/// <para>A repair orders its steps with <see cref="IOrderedMedium.Barrier"/> where the medium has it; a crash between any two of them leaves
/// an image at least as good as before. What it did is judged by a second, complete check.</para>
/// </remarks>
/// <param name="medium">The image.</param>
/// <param name="header">Its header, from <see cref="Qcow2Header.ReadForCheck"/> where the refcount table may be mended too; kept in step when a repair moves the refcount table or clears bits.</param>
internal sealed class Qcow2Checker(IStorageMedium medium, Qcow2Header header)
{
    private const ulong BitsThatRepairClears = Qcow2Features.Dirty | Qcow2Features.Corrupt;

    /// <summary>Checks, mends what <paramref name="mode"/> allows, and reports. Not durable on return.</summary>
    /// <exception cref="DiagnosticException">SP3016: more clusters than can be checked.</exception>
    /// <exception cref="StorageException">Reading or writing failed.</exception>
    public CheckReport Run(RepairMode mode)
    {
        ImageScan first = ImageScan.Run(medium, header);
        if (mode == RepairMode.None) return Report(first, first);

        ImageScan last = first;
        if (MendRefcounts(first, mode)) last = ImageScan.Run(medium, header);
        if (last.CopiedFlagFaults > 0 && !last.IsIncomplete && (mode == RepairMode.All || last.OnlyCopiedFlagsAreWrong))
        {
            Barrier();
            CopiedFlagRepair.Run(last);
            last = ImageScan.Run(medium, header);
        }

        if (last.Findings.Corruptions == 0) ClearBits();
        return Report(first, last);
    }

    private bool MendRefcounts(ImageScan scan, RepairMode mode)
    {
        if (scan.Findings.Corruptions == 0 && scan.Findings.Leaks == 0) return false;
        if (scan.IsIncomplete)
        {
            scan.Findings.Note("nothing was repaired: references that could not be read would be lost");
            return false;
        }

        if (scan.NeedsRebuild) return mode == RepairMode.All && RefcountRebuild.Run(scan, Barrier);
        if (scan.HasBrokenPointers && scan.Findings.Leaks > 0)
            scan.Findings.Note("unreferenced clusters were kept: they may belong to what broken entries pointed to");
        return RefcountRepair.Run(scan, raise: mode == RepairMode.All, lower: !scan.HasBrokenPointers);
    }

    private void ClearBits()
    {
        if ((header.IncompatibleFeatures & BitsThatRepairClears) == 0) return;
        Barrier();
        header.IncompatibleFeatures &= ~BitsThatRepairClears;
        Span<byte> field = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64BigEndian(field, header.IncompatibleFeatures);
        medium.Write(Qcow2Layout.IncompatibleFeaturesOffset, field, ContentClass.Header);
    }

    private void Barrier() => (medium as IOrderedMedium)?.Barrier();

    private CheckReport Report(ImageScan first, ImageScan last)
    {
        IReadOnlyList<string> lines = first.Findings.Lines;
        if (first != last) lines = [.. lines, .. last.Findings.Lines.Select(l => $"after the repair: {l}")];
        return new CheckReport(
            last.Findings.Corruptions,
            last.Findings.Leaks,
            Math.Max(0, first.Findings.Corruptions - last.Findings.Corruptions),
            Math.Max(0, first.Findings.Leaks - last.Findings.Leaks),
            lines,
            last.AllocatedClusters << header.ClusterBits,
            (last.HighestCluster + 1) << header.ClusterBits);
    }
}
