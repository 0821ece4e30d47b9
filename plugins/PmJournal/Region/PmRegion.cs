using Microsoft.Extensions.Logging;
using StoragePlugins.PmJournal.Ring;

namespace StoragePlugins.PmJournal.Region;

/// <summary>A journal region that is open: its medium, which is locked against other processes, its mapping and its header.</summary>
internal sealed class PmRegion : IDisposable
{
    /// <summary>
    /// The smallest region: a transaction may then have 15 KiB of after-images, more than the smallest log inside an image takes. What a format rewrites in
    /// larger pieces, as whole tables, it writes to a new place itself.
    /// </summary>
    public const long LeastBytes = 256L << 10;

    /// <summary>The largest: a recovery reads all of it.</summary>
    public const long MostBytes = 1L << 30;

    private readonly IStorageMedium _medium;

    private PmRegion(IStorageMedium medium, IPersistentMemory memory, string location, RegionHeader? header, bool isMade)
    {
        _medium = medium;
        Memory = memory;
        Location = location;
        Header = header;
        IsMade = isMade;
    }

    /// <summary>The mapping.</summary>
    public IPersistentMemory Memory { get; }

    /// <summary>What messages call it.</summary>
    public string Location { get; }

    /// <summary>Its header; null when nobody has used it yet.</summary>
    public RegionHeader? Header { get; private set; }

    /// <summary>Made by this object; or, by its header, by an earlier session.</summary>
    public bool IsMade { get; }

    /// <summary>Opens a region that has to be there.</summary>
    /// <returns>Null when there is no such file.</returns>
    /// <exception cref="DiagnosticException">It is in use, too small, truncated, damaged, or no region.</exception>
    public static PmRegion? Open(StrategyContext context, string location, bool readOnly) =>
        TryOpenMedium(context, location, readOnly) is { } medium ? Adopt(medium, context, location, isMade: false) : null;

    /// <summary>Opens a region, or makes it, name included, durably.</summary>
    public static PmRegion OpenOrMake(StrategyContext context, string location)
    {
        IStorageMedium? there = TryOpenMedium(context, location, readOnly: false);
        if (there is not null && !IsUnfinished(there, context)) return Adopt(there, context, location, isMade: false);
        IStorageMedium medium = there ?? context.OpenMedium(new MediumRequest { Location = location, Create = true, OpenInner = NoInner });
        try
        {
            long length = context.Options<PmJournalOptions>().Size / RegionHeader.AreaBytes * RegionHeader.AreaBytes;
            // Written extents: no store may find the file system full, and no page fault may wait for its journal.
            if (medium.GetCapability<IPreallocatingMedium>() is { } preallocating) preallocating.Preallocate(0, length);
            else medium.SetLength(length);
            medium.GetCapability<IFlushableMedium>()?.FlushAll();
        }
        catch
        {
            Remove(medium);
            medium.Dispose();
            throw;
        }

        return Adopt(medium, context, location, isMade: true);
    }

    private static IStorageMedium? TryOpenMedium(StrategyContext context, string location, bool readOnly)
    {
        IStorageMedium medium;
        try
        {
            medium = context.OpenMedium(new MediumRequest { Location = location, ReadOnly = readOnly, OpenInner = NoInner });
        }
        catch (DiagnosticException missing) when (missing.InnerException is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (DiagnosticException inUse) when (inUse.Code == "SP3020")
        {
            throw new DiagnosticException(
                "SP3137", "the journal is in use by another process", location, found: inUse.Found, fix: "stop that process, or name another journal with the option 'path'", inner: inUse);
        }

        return medium;
    }

    // What a power cut leaves of a file that was being made: no header, too short, nothing in it.
    private static bool IsUnfinished(IStorageMedium medium, StrategyContext context)
    {
        long length = medium.Length;
        if (length >= context.Options<PmJournalOptions>().LeastRegionBytes) return false;
        byte[] content = new byte[length];
        return medium.Read(0, content) == length && !content.ContainsAnyExcept((byte)0);
    }

    /// <summary>The ring of an owner's epoch.</summary>
    public PmRing Ring(Guid owner, ulong epoch, bool byMsync) => new(
        Memory, RegionHeader.AreaBytes, (UsableLength - RegionHeader.AreaBytes) / PmRing.LineBytes * PmRing.LineBytes, new RecordSeal(Header!.Id, owner, epoch), byMsync);

    /// <summary>Writes the header anew. Durable on return.</summary>
    public void Become(Guid id, Guid owner, ulong epoch, RegionUse use)
    {
        var next = new RegionHeader(id, Header?.Length ?? Memory.Length, owner, epoch, use | (IsMade ? RegionUse.MadeBySession : 0), (Header?.Generation ?? 0) + 1);
        next.Write(Memory);
        Header = next;
    }

    /// <summary>Closes it, and removes the file when a session had made it.</summary>
    public void DisposeAndRemove()
    {
        if (IsMade) Remove(_medium);
        Dispose();
    }

    public void Dispose() => _medium.Dispose();

    private long UsableLength => Math.Min(Header!.Length, MostBytes);

    private static PmRegion Adopt(IStorageMedium medium, StrategyContext context, string location, bool isMade)
    {
        try
        {
            if (medium.Length < RegionHeader.AreaBytes) throw TooSmall(location, medium.Length);
            IPersistentMemory memory = Map(medium, context, location);
            RegionHeader? header = RegionHeader.Read(memory, out string? problem);
            if (problem is not null)
            {
                throw new DiagnosticException(
                    "SP3138", "the file is no journal region that can be read", location, "a journal header, or zeros", problem,
                    "name another file with the option 'path'; if nothing in this one is needed, delete it or zero its first 4 KiB");
            }

            if (header is not null && header.Length > memory.Length)
            {
                throw new DiagnosticException(
                    "SP3136", "the journal region was cut", location, $"{header.Length} bytes", $"{memory.Length}",
                    "restore the file; if its image was closed cleanly or is lost anyway, delete it");
            }

            if (memory.Length < context.Options<PmJournalOptions>().LeastRegionBytes) throw TooSmall(location, memory.Length);
            return new PmRegion(medium, memory, location, header, isMade || header?.Use.HasFlag(RegionUse.MadeBySession) == true);
        }
        catch
        {
            if (isMade) Remove(medium);
            medium.Dispose();
            throw;
        }
    }

    private static IPersistentMemory Map(IStorageMedium medium, StrategyContext context, string location)
    {
        PmJournalOptions options = context.Options<PmJournalOptions>();
        IPersistentMemory memory = medium.GetCapability<IPersistentMemory>()
            ?? medium.GetCapability<IMappableMedium>()?.Map(new MappingRequest { Domain = options.Domain, Emulated = options.Emulated })
            ?? throw new DiagnosticException("SP5020", "the journal's medium cannot be mapped into memory", location, fix: "use a medium that can be, as 'file' or 'pm'");
        if (memory.IsEmulated)
        {
            context.Logger.LogWarning(
                "SP5025: {Journal}: ordinary memory stands in for persistent memory ({Domain}): nothing here survives a power cut", location, memory.Domain);
        }

        return memory;
    }

    private static DiagnosticException TooSmall(string location, long length) => new(
        "SP3131", "the journal region is too small", location, $"at least {LeastBytes} bytes", $"{length}", "make it larger, or delete it and let the journal make it");

    private static void Remove(IStorageMedium medium) => medium.GetCapability<IRemovableMedium>()?.Remove();

    private static IStorageMedium NoInner() => throw new InvalidOperationException("The medium chain gives each layer the next one.");
}
