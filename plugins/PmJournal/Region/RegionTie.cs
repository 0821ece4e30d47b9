namespace StoragePlugins.PmJournal.Region;

/// <summary>
/// Ties one image to its journal region, both ways: the image's mark names region and path, the region's header names image and epoch. Neither is used
/// without the other as long as it matters.
/// </summary>
/// <remarks>
/// <para>Start: the mark says "preparing" → the header says "in use by this image, next epoch" → the ring is empty → the mark says "ready", which raises the
/// epoch to the header's. A crash between leaves a mark that needs no region.</para>
/// <para>Close: everything is home → the header says "nothing needed" → the mark is cleared → a file that a session made is removed. A crash between leaves
/// a mark whose region says that nothing is needed.</para>
/// </remarks>
internal sealed class RegionTie : IDisposable
{
    private readonly IJournalSite _site;
    private readonly IInUseMark _mark;
    private readonly StrategyContext _context;
    private readonly string _location;
    private PmRegion? _region;

    /// <summary>Finds the region that the image's mark names, if it needs one. Writes nothing.</summary>
    /// <exception cref="DiagnosticException">It is missing, foreign, of another epoch, too small, cut, damaged or in use.</exception>
    public RegionTie(IJournalSite site, StrategyContext context)
    {
        _site = site;
        _context = context;
        _mark = site.GetCapability<IInUseMark>() ?? throw new DiagnosticException(
            "SP3142", "the image's format cannot be tied to a journal in persistent memory", site.ImageName, fix: "use qcow2, or another journal");
        string path = context.Options<PmJournalOptions>().Path;
        _location = path.Length > 0 ? path : site.ImageName + ".pmj";
        if (_mark.Payload is not { } payload || MarkPayload.Parse(payload.Span, site.ImageName) is not { IsReady: true } mark) return;
        _region = Find(mark);
        try
        {
            CheckOwner(_region);
        }
        catch
        {
            _region.Dispose();
            throw;
        }
    }

    /// <summary>The region with what an earlier session left; null when there is nothing to recover.</summary>
    public PmRegion? ToRecover => _region is { } region && region.Header!.Use.HasFlag(RegionUse.InUse) ? region : null;

    /// <summary>The ring of that session.</summary>
    public Ring.PmRing RingToRecover() => _region!.Ring(_site.ImageId, _site.Epoch, _region.Header!.Use.HasFlag(RegionUse.ByMsync));

    /// <summary>Prepares an empty ring in the configured region and sets the mark. Durable on return; what was to be recovered must be home.</summary>
    public Ring.PmRing Start()
    {
        PmRegion? earlier = _region;
        bool isSame = earlier is not null && SameFile(earlier.Location, _location);
        PmRegion region = isSame ? earlier! : PmRegion.OpenOrMake(_context, _location);
        try
        {
            if (!isSame) RefuseForeign(region);
            Guid id = region.Header?.Id ?? Guid.NewGuid();
            string path = System.IO.Path.GetFullPath(region.Location);
            _mark.Set(new MarkPayload(false, id, path).ToBytes());
            if (!isSame && earlier is not null) LetGo(earlier);
            _region = region;
            bool byMsync = region.Memory.Domain == PersistenceDomain.Msync;
            ulong epoch = _site.Epoch + 1;
            region.Become(id, _site.ImageId, epoch, RegionUse.InUse | (byMsync ? RegionUse.ByMsync : 0));
            Ring.PmRing ring = region.Ring(_site.ImageId, epoch, byMsync);
            ring.Initialize(1);
            _mark.Set(new MarkPayload(true, id, path).ToBytes());
            if (_site.Epoch != epoch) throw new InvalidOperationException($"Setting the mark made epoch {_site.Epoch} of {epoch - 1}, not {epoch}.");
            return ring;
        }
        catch
        {
            if (!ReferenceEquals(region, _region)) region.Dispose();
            throw;
        }
    }

    /// <summary>Unties them. Everything must be home and durable.</summary>
    public void Release()
    {
        if (_region is { } region) LetGoOfRecords(region);
        _mark.Clear();
        _region?.DisposeAndRemove();
        _region = null;
    }

    public void Dispose()
    {
        _region?.Dispose();
        _region = null;
    }

    private PmRegion Find(MarkPayload mark)
    {
        string? other = null;
        foreach (string location in SameFile(_location, mark.Path) ? [_location] : new[] { _location, mark.Path })
        {
            PmRegion? region = PmRegion.Open(_context, location, _site.IsReadOnly);
            if (region?.Header is { } header && header.Id == mark.Region) return region;
            if (region is not null) other = $"{location}: {(region.Header is null ? "an empty one" : $"region {region.Header.Id}")}";
            region?.Dispose();
        }

        throw other is null
            ? new DiagnosticException(
                "SP3132", "the image was not closed cleanly, and its journal, which holds what is missing in it, is not there", _site.ImageName, $"region {mark.Region} at {mark.Path}", "no file",
                "bring the file back, or name its place with the option 'path'")
            : new DiagnosticException(
                "SP3135", "the image was not closed cleanly, and the file in its journal's place is another journal", _site.ImageName, $"region {mark.Region} at {mark.Path}", other,
                "bring the right file back, or name its place with the option 'path'");
    }

    private void CheckOwner(PmRegion region)
    {
        RegionHeader header = region.Header!;
        if (header.Owner != _site.ImageId)
        {
            throw new DiagnosticException(
                "SP3133", "the journal belongs to another image", region.Location, $"image {_site.ImageId}", $"image {header.Owner}",
                "bring this image's own journal back, or name its place with the option 'path'");
        }

        if (header.Epoch != _site.Epoch)
        {
            throw new DiagnosticException(
                "SP3134", header.Epoch < _site.Epoch ? "the journal is older than the image" : "the journal is newer than the image", region.Location, $"epoch {_site.Epoch}", $"epoch {header.Epoch}",
                "bring back journal and image of the same moment: one of them was replaced by a copy");
        }
    }

    // A region that an image needs to recover is never overwritten; one of this very image is not needed unless its mark named it.
    private void RefuseForeign(PmRegion region)
    {
        if (region.Header is not { } header || !header.Use.HasFlag(RegionUse.InUse) || (header.Owner == _site.ImageId && header.Owner != Guid.Empty)) return;
        throw new DiagnosticException(
            "SP3133", "the journal is still needed by another image, which was not closed cleanly", region.Location, "a free region", $"image {header.Owner}, epoch {header.Epoch}",
            "recover that image with 'sphost image recover', name another journal with the option 'path', or delete the file if that image no longer exists");
    }

    private static void LetGo(PmRegion region)
    {
        LetGoOfRecords(region);
        region.DisposeAndRemove();
    }

    private static void LetGoOfRecords(PmRegion region)
    {
        RegionHeader header = region.Header!;
        if (header.Use.HasFlag(RegionUse.InUse)) region.Become(header.Id, header.Owner, header.Epoch, RegionUse.None);
    }

    private static bool SameFile(string one, string other) => System.IO.Path.GetFullPath(one) == System.IO.Path.GetFullPath(other);
}
