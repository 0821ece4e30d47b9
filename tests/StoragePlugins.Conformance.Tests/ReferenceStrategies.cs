using StoragePlugins.BarrierFS;
using StoragePlugins.CrashKit.Contracts;
using StoragePlugins.CrashKit.Contracts.Model;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.Fsync;
using StoragePlugins.InternalJournal;
using StoragePlugins.Journaling;
using StoragePlugins.Ordered;
using StoragePlugins.PmFileSystem;
using StoragePlugins.PmJournal;
using StoragePlugins.Qcow2;
using StoragePlugins.Raw;

namespace StoragePlugins.Conformance.Tests;

// Each reference strategy keeps its contract, as anybody's would be asked to.
public sealed class FDataSyncTests : OrderingPrimitiveConformance
{
    protected override ConformanceSettings Settings => Budgets.Short;

    protected override Tested<IOrderingPrimitive> Ordering => new("fdatasync", new FDataSyncOrdering());
}

public sealed class BarrierDeviceTests : OrderingPrimitiveConformance
{
    protected override ConformanceSettings Settings => Budgets.Short;

    protected override Tested<IOrderingPrimitive> Ordering => new("barrierfs", new BarrierOrdering(), new BarrierOptions());
}

public sealed class BarrierDeferredTests : OrderingPrimitiveConformance
{
    protected override ConformanceSettings Settings => Budgets.Short;

    protected override Tested<IOrderingPrimitive> Ordering => new("barrierfs", new BarrierOrdering(), new BarrierOptions { Mode = BarrierMode.Deferred });
}

public sealed class KitOrderingTests : OrderingPrimitiveConformance
{
    protected override ConformanceSettings Settings => Budgets.Short;

    protected override Tested<IOrderingPrimitive> Ordering => new("flush", new FlushOrdering());
}

public sealed class OrderedTests : MetadataJournalConformance
{
    protected override ConformanceSettings Settings => Budgets.Short;

    protected override Tested<IMetadataJournal> Journal => new("ordered", new OrderedJournal());
}

public sealed class InternalTests : MetadataJournalConformance
{
    protected override ConformanceSettings Settings => Budgets.Short;

    protected override Tested<IMetadataJournal> Journal => new("internal", new InternalJournal.InternalJournal(), new InternalJournalOptions { RegionSize = 256 << 10, Overlay = 1 << 20, DualMode = DualMode.On });
}

public sealed class PmTests : MetadataJournalConformance
{
    protected override ConformanceSettings Settings => Budgets.Short;

    protected override Tested<IMetadataJournal> Journal => new("pm", new PersistentMemoryJournal(), new PmJournalOptions { Size = 4 << 20 });
}

public sealed class Qcow2Tests : BlockFormatConformance
{
    protected override ConformanceSettings Settings => Budgets.Short;

    protected override Tested<IBlockFormat> Format => new("qcow2", new Qcow2Format(), new Qcow2Options { ClusterSize = 4096, MapCache = 64 << 10, RefcountCache = 64 << 10 });
}

public sealed class RawTests : BlockFormatConformance
{
    protected override ConformanceSettings Settings => Budgets.Short;

    protected override Tested<IBlockFormat> Format => new("raw", new RawFormat());
}

public sealed class PmFileSystemTests : FileTreeConformance
{
    protected override ConformanceSettings Settings => Budgets.Short;

    protected override Tested<IBlockFormat> Format => new("pmfs", new PmFormat(), new PmFormatOptions { BytesPerInode = 16 << 10 });
}

internal static class Budgets
{
    public static ConformanceSettings Short { get; } = new() { Budget = TimeSpan.FromSeconds(1) };
}
