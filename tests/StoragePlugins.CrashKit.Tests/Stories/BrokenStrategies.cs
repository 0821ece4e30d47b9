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

    /// <summary>The first failure of a pipeline that has one of a kind.</summary>
    public static CrashFailure FailureOf(TestedPipeline pipeline, Func<CrashFailure, bool>? isWanted = null, PersistenceModel model = PersistenceModel.Disk, int seed = 1, long first = 0)
    {
        for (long next = first; next < first + 60; next++)
        {
            var settings = new CrashTestSettings { Model = model, Seed = seed, Workers = 1, Budget = TimeSpan.FromSeconds(8), FirstWorkload = next, MaxWorkloads = 1, FaultsEvery = 0 };
            CrashTestReport report = new CrashTest([pipeline], settings).Run();
            if (report.Failures.FirstOrDefault(failure => isWanted?.Invoke(failure) ?? true) is { } found) return found;
        }

        throw new InvalidOperationException("the strategy is not broken in the way that was wanted");
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

/// <summary>Orders by the device's own barriers, but leaves out each one for which the last write before it is of a class.</summary>
internal sealed class DeviceBarriers(ContentClass? leftOutAfter = null) : IOrderingPrimitive
{
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) =>
        new Dropping(new FDataSyncOrdering().Attach(medium, context), (last, _) => last != leftOutAfter, null, medium.GetCapability<IBarrierMedium>());
}

/// <summary>Right while it runs; in a recovery, which is what copies home before any record was written, no sync follows the copies.</summary>
internal sealed class WithoutSyncInRecovery : IOrderingPrimitive
{
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context)
    {
        Dropping? dropping = null;
        bool Keeps(ContentClass last) => last != ContentClass.Checkpoint || dropping!.Written.Contains(ContentClass.JournalRecord);
        return dropping = new Dropping(new FDataSyncOrdering().Attach(medium, context), (last, _) => Keeps(last), _ => Keeps(dropping!.Last));
    }
}

/// <summary>Right on a new image; on one that was used before it keeps no order.</summary>
internal sealed class WithoutBarriersOnUsedImages : IOrderingPrimitive
{
    // A new image of 4 KiB clusters: header, refcounts, map.
    private const long NewLength = 16384;

    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context)
    {
        bool isUsed = medium.Length > NewLength;
        return new Dropping(new FDataSyncOrdering().Attach(medium, context), (_, _) => !isUsed, null);
    }
}

/// <summary>Right, and never twice the same: each opening flushes once more than the one before, as if by chance.</summary>
internal sealed class Unsteady : IOrderingPrimitive
{
    private int _opened;

    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context)
    {
        IOrderedMedium steady = new FDataSyncOrdering().Attach(medium, context);
        int more = Interlocked.Increment(ref _opened);
        return new Dropping(steady, null, _ =>
        {
            for (int i = 0; i < more; i++) steady.Flush();
            return true;
        });
    }
}

/// <summary>Loses each write of a class that is not at the end of the file, though nothing crashes.</summary>
internal sealed class LosingWrites(ContentClass lost) : IOrderingPrimitive
{
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) => new Dropping(new FDataSyncOrdering().Attach(medium, context), null, null) { Loses = lost };
}

/// <summary>Never comes back from a flush once it was told to hang.</summary>
internal sealed class Hanging(ManualResetEventSlim released) : IOrderingPrimitive
{
    public volatile bool IsHanging;

    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) => new Dropping(new NoOrdering().Attach(medium, context), null, _ =>
    {
        if (IsHanging) released.Wait();
        return true;
    });
}

/// <summary>Passes on what it is asked for, except some barriers or flushes.</summary>
internal sealed class Dropping(IOrderedMedium medium, Func<ContentClass, int, bool>? keepsBarrier, Func<int, bool>? keepsFlush, IBarrierMedium? device = null) : IOrderedMedium
{
    private int _barriers;
    private int _flushes;

    public ContentClass? Loses { get; init; }

    public ContentClass Last { get; private set; }

    public HashSet<ContentClass> Written { get; } = [];

    public string Name => medium.Name;

    public long Length => medium.Length;

    public bool IsReadOnly => medium.IsReadOnly;

    public int Read(long offset, Span<byte> buffer) => medium.Read(offset, buffer);

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        Last = content;
        Written.Add(content);
        if (content != Loses || offset + data.Length >= medium.Length) medium.Write(offset, data, content);
    }

    public void SetLength(long length) => medium.SetLength(length);

    public void Barrier()
    {
        if (!(keepsBarrier?.Invoke(Last, ++_barriers) ?? true)) return;
        if (device is null) medium.Barrier();
        else device.Barrier();
    }

    public void Flush()
    {
        if (keepsFlush?.Invoke(++_flushes) ?? true) medium.Flush();
    }

    public T? GetCapability<T>() where T : class => medium.GetCapability<T>();

    public void Dispose() => medium.Dispose();
}
