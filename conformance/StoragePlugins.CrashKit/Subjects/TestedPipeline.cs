using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Subjects;

/// <summary>A strategy with the options that it is tested with.</summary>
/// <typeparam name="T">The kind of strategy.</typeparam>
/// <param name="Id">Its id.</param>
/// <param name="Strategy">The object; it holds no state, and serves all threads.</param>
/// <param name="Options">An instance of its options class; null for none.</param>
public sealed record Tested<T>(string Id, T Strategy, object? Options = null);

/// <summary>
/// What the kit puts to the test: a format, an ordering and a journal, composed as the host composes them, over simulated devices in place of files.
/// </summary>
/// <remarks>Thread-safe and without state.</remarks>
public sealed record TestedPipeline(string Name, Tested<IBlockFormat> Format, Tested<IOrderingPrimitive> Ordering, Tested<IMetadataJournal> Journal)
{
    /// <summary>Where notices of the strategies go.</summary>
    public ILogger Logger { get; init; } = NullLogger.Instance;

    /// <summary>What distinguishes this composition from others of the same name: the options that were varied. Empty for none.</summary>
    public string Variant { get; init; } = "";

    /// <summary>The image itself is mapped memory; otherwise only what strategies open beside it is.</summary>
    public bool MapsImage { get; init; }

    /// <summary>A machine with an empty image of this pipeline.</summary>
    /// <param name="size">Virtual size.</param>
    /// <param name="model">Decides what the devices can do.</param>
    /// <param name="domain">Where a store to mapped memory is durable, unless a strategy's options say so.</param>
    public Machine Create(long size, PersistenceModel model, PersistenceDomain domain = PersistenceDomain.Adr)
    {
        DeviceTraits memory = model == PersistenceModel.Pm ? new DeviceTraits { Memory = domain } : DeviceTraits.Disk;
        DeviceTraits image = MapsImage ? memory with { IsMapped = true } : model == PersistenceModel.Barrier ? DeviceTraits.BarrierDisk : DeviceTraits.Disk;
        var machine = new Machine([], image) { FurtherTraits = memory };
        using SimulatedMedium medium = machine.OpenImage();
        Format.Strategy.Create(medium, new CreateRequest(size), Context(Format.Options));
        return machine;
    }

    /// <summary>Opens the machine's image.</summary>
    /// <param name="machine">The devices.</param>
    /// <param name="readOnly">Nothing may be written.</param>
    /// <param name="trace">Records what is asked of the devices.</param>
    /// <param name="faults">What goes wrong.</param>
    public OpenedSubject Open(Machine machine, bool readOnly = false, Trace? trace = null, MediumFaults? faults = null)
    {
        IJournalSession? session = null;
        SimulatedMedium medium = machine.OpenImage(trace, faults, readOnly);
        IStorageMedium OpenMedium(MediumRequest request) => machine.Open(request, trace, faults);
        IOrderedMedium storage = readOnly ? new ReadOnlyOrder(medium) : Ordering.Strategy.Attach(medium, Context(Ordering.Options, OpenMedium));
        try
        {
            IDiskImage image = Format.Strategy.Open(
                new OpenRequest
                {
                    Storage = storage,
                    ReadOnly = readOnly,
                    JournalId = Journal.Id,
                    OpenJournal = (site, home) => session = Journal.Strategy.Open(site, home, Context(Journal.Options, OpenMedium)),
                    OpenBacking = backing => throw new DiagnosticException("SP3030", "the crash kit opens no backing files", backing.File),
                },
                Context(Format.Options, OpenMedium));
            return new OpenedSubject(image, session?.IsAtomic ?? false);
        }
        catch
        {
            storage.Dispose();
            throw;
        }
    }

    /// <summary>Checks the machine's image by the format's own check; <see langword="null"/> when the format has none.</summary>
    public CheckReport? Check(Machine machine)
    {
        if (Format.Strategy is not ICheckingFormat checking) return null;
        using SimulatedMedium medium = machine.OpenImage(isReadOnly: true);
        return checking.Check(medium, RepairMode.None, Context(Format.Options));
    }

    private StrategyContext Context(object? options, Func<MediumRequest, IStorageMedium>? openMedium = null) => new(options, new StorageMeter(), Logger, openMedium);
}

/// <summary>An open image, and whether its journal promises whole transactions.</summary>
/// <param name="Image">The image.</param>
/// <param name="IsAtomic"><see cref="IJournalSession.IsAtomic"/>: then no crash may leave leaked space.</param>
public sealed record OpenedSubject(IDiskImage Image, bool IsAtomic) : IDisposable
{
    /// <summary>Abandons it as a crash would.</summary>
    public void Dispose() => Image.Dispose();
}
