using System.Buffers.Binary;
using StoragePlugins.Journaling;

namespace StoragePlugins.InternalJournal;

/// <summary>A log in a region of the image itself, which the image's mark names.</summary>
internal sealed class RegionSource : IRecordLogSource
{
    /// <summary>What the mark carries: the version of records and region.</summary>
    private const int PayloadBytes = sizeof(uint);
    private const uint Version = 1;

    /// <summary>Zeros are written in pieces of this size where the medium cannot do it itself.</summary>
    private const int ZeroBytes = 1 << 20;

    private readonly IJournalSite _site;
    private readonly IOrderedMedium _home;
    private readonly IJournalRegionSite _regions;
    private readonly long _regionBytes;

    /// <summary>Reads nothing yet.</summary>
    /// <exception cref="DiagnosticException">SP3110: the image has no room for a region.</exception>
    public RegionSource(IJournalSite site, IOrderedMedium home, long regionBytes)
    {
        (_site, _home, _regionBytes) = (site, home, regionBytes);
        _regions = site.GetCapability<IJournalRegionSite>() ?? throw new DiagnosticException(
            "SP3110", "the image has no room for a journal", site.ImageName, expected: "a format that can set a region aside",
            found: "one that cannot (qcow2 version 2, or clusters too small for the mark)", fix: "use a pipeline without a journal, such as qcow2-ordered");
    }

    public IRecordLog Find(ReadOnlyMemory<byte> markPayload)
    {
        if (markPayload.Length < PayloadBytes || BinaryPrimitives.ReadUInt32LittleEndian(markPayload.Span) is not Version)
            throw new DiagnosticException("SP3112", "the image's journal is of a version that this program does not know", _site.ImageName,
                expected: $"version {Version}", found: markPayload.Length < PayloadBytes ? "none" : $"version {BinaryPrimitives.ReadUInt32LittleEndian(markPayload.Span)}",
                fix: "open the image with the version of sphost that wrote it");
        if (_regions.Region is not { } region) throw Impossible("no region");
        var log = new RegionLog(_home, region);
        if (region.Offset < 0 || region.Length < 0 || region.Offset > long.MaxValue - region.Length || log.Capacity < JournalSession.MinLogBytes)
            throw Impossible($"{region.Length} bytes at {region.Offset}");
        return log;
    }

    public IRecordLog Prepare()
    {
        JournalRegion? before = _regions.Region;
        // Of clusters smaller than a log's block, a part of a block is lost at either end.
        JournalRegion region = _regions.Reserve(Math.Max(_regionBytes, JournalSession.MinLogBytes + (2 * RegionLog.BlockBytes)));
        // A region that held a journal is written already, and its records end with the epoch.
        if (before != region) Fill(region);
        return new RegionLog(_home, region);
    }

    public int WriteMarkPayload(Span<byte> payload)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(payload, Version);
        return PayloadBytes;
    }

    // The mark names the region and is enough to find it.
    public void Marked(RecordIdentity identity)
    {
    }

    // The image takes its region back with the mark.
    public void Cleared()
    {
    }

    public void Dispose()
    {
    }

    private DiagnosticException Impossible(string found) => new("SP3111", "the image's mark names no possible journal region", _site.ImageName,
        expected: $"a region inside the image of at least {JournalSession.MinLogBytes} bytes", found: found,
        fix: "copy the image, then run: sphost image recover --discard-journal");

    /// <summary>Zeros, so that its extents are written ones: the first write into any other kind costs the host's file system a commit at each flush.</summary>
    private void Fill(JournalRegion region)
    {
        if (_home.GetCapability<IPreallocatingMedium>() is { } preallocating)
        {
            preallocating.Preallocate(region.Offset, region.Length);
            return;
        }

        byte[] zeros = new byte[Math.Min(region.Length, ZeroBytes)];
        for (long done = 0; done < region.Length; done += zeros.Length)
            _home.Write(region.Offset + done, zeros.AsSpan(0, (int)Math.Min(zeros.Length, region.Length - done)), ContentClass.Preallocation);
    }
}
