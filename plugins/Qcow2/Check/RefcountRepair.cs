namespace StoragePlugins.Qcow2.Check;

/// <summary>Corrects refcounts in the blocks where they are. Each entry is right by itself, so the writes need no order among them.</summary>
internal static class RefcountRepair
{
    /// <returns>Whether anything was written.</returns>
    public static bool Run(ImageScan scan, bool raise, bool lower)
    {
        byte[] block = new byte[scan.Header.ClusterSize];
        bool wrote = false;
        for (int index = 0; index < scan.RefcountBlocks.Length && RefcountWalk.FirstCluster(scan.Header, index) <= scan.Map.Clusters; index++)
        {
            if (scan.RefcountBlocks[index] == 0) continue;
            RefcountWalk.LoadBlock(scan, index, block);
            (int first, int last) = Correct(scan, block, index, raise, lower);
            if (last < first) continue;
            int from = (first << scan.Header.RefcountOrder) >> 3, to = ((last + 1 << scan.Header.RefcountOrder) + 7) >> 3;
            scan.Medium.Write(scan.RefcountBlocks[index] + from, block.AsSpan(from, to - from), ContentClass.Allocation);
            wrote = true;
        }

        return wrote;
    }

    private static (int First, int Last) Correct(ImageScan scan, byte[] block, int index, bool raise, bool lower)
    {
        int order = scan.Header.RefcountOrder, first = int.MaxValue, last = -1;
        long start = RefcountWalk.FirstCluster(scan.Header, index);
        // What is stored for clusters beyond the file is left alone, as QEMU does: it is neither a leak nor an error.
        int entries = (int)Math.Min(scan.Header.RefcountBlockEntries, scan.Map.Clusters - start + (scan.Map.References(scan.Map.Clusters) > 0 ? 1 : 0));
        for (int i = 0; i < entries; i++)
        {
            ulong stored = RefcountEntries.Get(block, i, order);
            ulong right = Math.Min((ulong)scan.Map.References(start + i), RefcountEntries.Max(order));
            if (stored == right || (stored < right && !raise) || (stored > right && !lower)) continue;
            RefcountEntries.Set(block, i, order, right);
            first = Math.Min(first, i);
            last = i;
        }

        return (first, last);
    }
}
