using StoragePlugins.BarrierFS;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.Fsync;
using StoragePlugins.InternalJournal;
using StoragePlugins.Journaling;
using StoragePlugins.Ordered;
using StoragePlugins.PmFileSystem;
using StoragePlugins.PmJournal;
using StoragePlugins.Qcow2;
using StoragePlugins.Raw;

namespace StoragePlugins.Mutants.Tests;

/// <summary>The reference pipelines, made of strategies from which protections can be taken out.</summary>
internal static class Compositions
{
    private static readonly (int Cluster, int RefcountBits, long Preallocate)[] s_small = [(4096, 16, 0), (512, 16, 0), (1024, 64, 0)];
    private static readonly (int Cluster, int RefcountBits, long Preallocate)[] s_marked = [(4096, 16, 0), (4096, 16, 32 << 10), (1024, 64, 0)];

    /// <summary>The pipelines in which a mutant's protection matters, and the model in which it does; the likeliest first.</summary>
    public static IEnumerable<(IReadOnlyList<TestedPipeline> Variants, PersistenceModel Model)> For(string mutant)
    {
        string strategy = mutant[..mutant.IndexOf('.')];
        return mutant switch
        {
            "ordered.commit-barrier" or "barrierfs.device-barrier" or "barrierfs.device-flush" => [(Qcow2(Device(), Ordered, s_small), PersistenceModel.Barrier)],
            "barrierfs.epoch-sync" or "barrierfs.deferred-sync" => [(Qcow2(Deferred(), Ordered, s_small), PersistenceModel.Disk)],
            "qcow2.published" or "qcow2.published-tables" or "qcow2.header-before-replay" => [(Qcow2(Flushing, Internal, s_marked), PersistenceModel.Disk)],
            _ when mutant.StartsWith("qcow2.mark", StringComparison.Ordinal) => [(Qcow2(Flushing, Internal, s_marked), PersistenceModel.Disk), (Qcow2(Flushing, Pm, s_marked), PersistenceModel.Pm)],
            "qcow2.guest-barrier" or "qcow2.owed-with-atomic-commits" => [(Qcow2(Flushing, Ordered, s_small), PersistenceModel.Disk)],
            "qcow2.owed-before-write-in-place" or "qcow2.owed-data-before-record" or "qcow2.write-in-place-before-barrier" =>
                [(Qcow2(Flushing, InternalWithoutRides, s_marked), PersistenceModel.Disk), (Qcow2(Device(), InternalWithoutRides, s_marked), PersistenceModel.Barrier), (Qcow2(Flushing, Pm, s_marked), PersistenceModel.Pm)],
            _ when strategy == "raw" => [(Raw(Flushing), PersistenceModel.Disk)],
            _ when strategy == "internal" => [(Qcow2(Flushing, Internal, s_marked), PersistenceModel.Disk)],
            _ when strategy == "pmfs" => [(FileSystem(), PersistenceModel.Pm)],
            _ when strategy == "pm" => [(Qcow2(Flushing, Pm, s_marked), PersistenceModel.Pm)],
            _ => [(Qcow2(Flushing, Ordered, s_small), PersistenceModel.Disk)],
        };
    }

    /// <summary>All of them, for the control in which nothing is taken out.</summary>
    public static IEnumerable<(IReadOnlyList<TestedPipeline> Variants, PersistenceModel Model)> All =>
        new[] { "barrierfs.device-flush", "barrierfs.epoch-sync", "internal.epoch", "pm.epoch", "pmfs.floor", "ordered.data-barrier" }.SelectMany(For);

    private static Tested<IOrderingPrimitive> Flushing => new("fdatasync", new FDataSyncOrdering());

    private static Tested<IMetadataJournal> Ordered => new("ordered", new OrderedJournal());

    private static Tested<IMetadataJournal> Internal => new("internal", new InternalJournal.InternalJournal(), new InternalJournalOptions { RegionSize = 256 << 10, Overlay = 1 << 20, DualMode = DualMode.On });

    // What rides in records is in their order anyway.
    private static Tested<IMetadataJournal> InternalWithoutRides =>
        new("internal", new InternalJournal.InternalJournal(), new InternalJournalOptions { RegionSize = 256 << 10, Overlay = 1 << 20, MaxInline = 0 });

    private static Tested<IMetadataJournal> Pm => new("pm", new PersistentMemoryJournal(), new PmJournalOptions { Size = 256 << 10, LeastRegionBytes = 64 << 10, MaxInline = 2048, Emulated = true });

    private static Tested<IOrderingPrimitive> Device() => new("barrierfs", new BarrierOrdering(), new BarrierOptions());

    private static Tested<IOrderingPrimitive> Deferred() => new("barrierfs", new BarrierOrdering(), new BarrierOptions { Mode = BarrierMode.Deferred });

    private static TestedPipeline[] FileSystem() =>
        [new("pmfs", new Tested<IBlockFormat>("pmfs", new PmFormat(), new PmFormatOptions { BytesPerInode = 16 << 10 }), Flushing, Ordered) { MapsImage = true }];

    private static TestedPipeline[] Raw(Tested<IOrderingPrimitive> ordering) => [new("raw", new Tested<IBlockFormat>("raw", new RawFormat()), ordering, Ordered)];

    private static TestedPipeline[] Qcow2(Tested<IOrderingPrimitive> ordering, Tested<IMetadataJournal> journal, (int Cluster, int RefcountBits, long Preallocate)[] geometries) =>
    [
        .. geometries.Select(geometry => new TestedPipeline(
            $"qcow2, {journal.Id}, {ordering.Id}",
            new Tested<IBlockFormat>("qcow2", new Qcow2Format(), new Qcow2Options
            {
                ClusterSize = geometry.Cluster, RefcountBits = geometry.RefcountBits, Preallocate = geometry.Preallocate, MapCache = 64 << 10, RefcountCache = 64 << 10,
            }),
            ordering,
            journal) { Variant = $"{geometry}" }),
    ];
}
