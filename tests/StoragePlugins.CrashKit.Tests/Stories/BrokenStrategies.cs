using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.Fsync;
using StoragePlugins.InternalJournal;
using StoragePlugins.Ordered;
using StoragePlugins.Qcow2;

namespace StoragePlugins.CrashKit.Tests.Stories;

/// <summary>Compositions that are right, and ones that are wrong in one known way.</summary>
internal static class BrokenStrategies
{
    public static TestedPipeline Ordered(IOrderingPrimitive ordering) => new(
        "qcow2-ordered",
        new("qcow2", new Qcow2Format(), new Qcow2Options { ClusterSize = 4096, MapCache = 64 << 10, RefcountCache = 64 << 10 }),
        new("test", ordering),
        new("ordered", new OrderedJournal()))
    {
        Variant = "4 KiB clusters",
    };

    public static TestedPipeline Journaled(IOrderingPrimitive ordering) => new(
        "qcow2-journal",
        new("qcow2", new Qcow2Format(), new Qcow2Options { ClusterSize = 4096, MapCache = 64 << 10, RefcountCache = 64 << 10 }),
        new("test", ordering),
        new("internal", new InternalJournal.InternalJournal(), new InternalJournalOptions { RegionSize = 256 << 10, Overlay = 1 << 20, MaxInline = 0 }))
    {
        Variant = "nothing inline",
    };

    /// <summary>The first failure of a pipeline that has one.</summary>
    public static CrashFailure FailureOf(TestedPipeline pipeline, PersistenceModel model = PersistenceModel.Disk, int seed = 1, long first = 0, Checking.Invariant? wanted = null)
    {
        var settings = new CrashTestSettings { Model = model, Seed = seed, Workers = 1, Budget = TimeSpan.FromSeconds(20), FirstWorkload = first, StopAfter = wanted is null ? 1 : 12 };
        CrashTestReport report = new CrashTest([pipeline], settings).Run();
        return report.Failures.First(failure => wanted is null || failure.Invariant == wanted);
    }
}

/// <summary>Flushes, and keeps no order between flushes: every barrier is left out.</summary>
internal sealed class WithoutBarriers : IOrderingPrimitive
{
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) => new Dropping(new FDataSyncOrdering().Attach(medium, context), static (_, _) => false, null);
}

/// <summary>Does everything, but leaves out each barrier for which the last write before it is of a class.</summary>
internal sealed class WithoutBarrierAfter(ContentClass content) : IOrderingPrimitive
{
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) => new Dropping(new FDataSyncOrdering().Attach(medium, context), (last, _) => last != content, null);
}

/// <summary>Does everything, but leaves out every so many-th sync, be it asked for as barrier or as flush.</summary>
internal sealed class WithoutEveryFlush(int which) : IOrderingPrimitive
{
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) => new Dropping(new FDataSyncOrdering().Attach(medium, context), null, count => count % which != 0);
}

/// <summary>Passes on what it is asked for, except some barriers or flushes.</summary>
internal sealed class Dropping(IOrderedMedium medium, Func<ContentClass, int, bool>? keepsBarrier, Func<int, bool>? keepsFlush) : IOrderedMedium
{
    private ContentClass _last;
    private int _barriers;
    private int _flushes;

    public string Name => medium.Name;

    public long Length => medium.Length;

    public bool IsReadOnly => medium.IsReadOnly;

    public int Read(long offset, Span<byte> buffer) => medium.Read(offset, buffer);

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        _last = content;
        medium.Write(offset, data, content);
    }

    public void SetLength(long length) => medium.SetLength(length);

    public void Barrier()
    {
        if (keepsBarrier?.Invoke(_last, ++_barriers) ?? true) medium.Barrier();
    }

    public void Flush()
    {
        if (keepsFlush?.Invoke(++_flushes) ?? true) medium.Flush();
    }

    public T? GetCapability<T>() where T : class => medium.GetCapability<T>();

    public void Dispose() => medium.Dispose();
}
