using StoragePlugins.Journaling;

namespace StoragePlugins.InternalJournal;

/// <summary>The log in a region of the image itself.</summary>
internal sealed class RegionLog(IJournalSite site, IOrderedMedium home, long regionBytes) : IJournalLog
{
    public ILogStorage? Find()
    {
        if (site.GetCapability<IInUseMark>()?.Payload is null) return null;
        JournalRegion region = site.GetCapability<IJournalRegionSite>()?.Region
            ?? throw new DiagnosticException("SP3111", "the image's mark names no journal region", site.ImageName, "a region inside the image", "none",
                "copy the image, then run: sphost image recover --discard-journal");
        if (region.Offset < 0 || region.Length < 2 * Region.BlockBytes || region.Offset > long.MaxValue - region.Length)
            throw new DiagnosticException("SP3111", "the image's mark names an impossible journal region", site.ImageName, found: $"{region.Length} bytes at {region.Offset}",
                fix: "copy the image, then run: sphost image recover --discard-journal");
        return new Region(home, region);
    }

    public ILogStorage Prepare()
    {
        if (site.GetCapability<IInUseMark>() is not { } mark || site.GetCapability<IJournalRegionSite>() is not { } regions)
            throw new DiagnosticException("SP3110", "this image has no room for a journal", site.ImageName, "a format that can set a region aside and mark the image as in use",
                "one that cannot (qcow2 version 2, or clusters too small for the mark)", "use a pipeline without a journal, such as qcow2-ordered");
        JournalRegion? before = regions.Region;
        JournalRegion region = regions.Reserve(regionBytes);
        // A region that held a journal is written already, and its records end with the epoch.
        if (before != region) Fill(region);
        mark.Set([]);
        return new Region(home, region);
    }

    public void Retire() => site.GetCapability<IInUseMark>()?.Clear();

    public void Dispose()
    {
    }

    /// <summary>Zeros, so that its extents are written ones: the first write into any other kind costs the host's file system a commit at each flush.</summary>
    private void Fill(JournalRegion region)
    {
        if (home.GetCapability<IPreallocatingMedium>() is { } preallocating)
        {
            preallocating.Preallocate(region.Offset, region.Length);
        }
        else
        {
            byte[] zeros = new byte[Math.Min(region.Length, 1 << 20)];
            for (long done = 0; done < region.Length; done += zeros.Length)
                home.Write(region.Offset + done, zeros.AsSpan(0, (int)Math.Min(zeros.Length, region.Length - done)), ContentClass.Preallocation);
        }

        home.Flush();
    }

    /// <summary>A region as a log. Records are whole blocks of 4 KiB, so that a block that an acknowledged record stands in is not written again while it matters.</summary>
    private sealed class Region(IOrderedMedium home, JournalRegion region) : ILogStorage
    {
        public const int BlockBytes = 4096;

        private readonly long _start = (region.Offset + BlockBytes - 1) & -BlockBytes;

        public long Length { get; } = ((region.Offset + region.Length) & -BlockBytes) - ((region.Offset + BlockBytes - 1) & -BlockBytes);

        public int Alignment => BlockBytes;

        public bool IsDurableOnWrite => false;

        public void Read(long position, Span<byte> buffer)
        {
            int got = home.Read(_start + position, buffer);
            buffer[got..].Clear();
        }

        public void Write(long position, ReadOnlySpan<byte> record) => home.Write(_start + position, record, ContentClass.JournalRecord);
    }
}
