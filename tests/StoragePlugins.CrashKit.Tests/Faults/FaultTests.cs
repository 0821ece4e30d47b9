using StoragePlugins.CrashKit.Contracts.Model;
using StoragePlugins.CrashKit.Faults;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Stories;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Tests.PublishedFailures;
using StoragePlugins.CrashKit.Tests.Stories;
using StoragePlugins.Fsync;

namespace StoragePlugins.CrashKit.Tests.Faults;

/// <summary>Devices that err: what a sound strategy makes of it, and that an unsound one is found.</summary>
public sealed class FaultTests
{
    [Fact]
    public void Sound_pipeline_tells_or_heals_every_kind_of_error()
    {
        CrashTestReport report = Run(BrokenStrategies.Journaled(new FDataSyncOrdering()), workloads: 60);
        Assert.Empty(report.Failures.Select(failure => failure.Message));
        FaultKind[] expected = [.. Enum.GetValues<FaultKind>().Where(kind => kind is not (FaultKind.PoisonedLine or FaultKind.BarrierFails))];
        Assert.Equal(expected, report.Faults.Select(count => count.Kind).Distinct().Order());
        // A flush that failed is never made good; rot in a record is seen.
        Assert.DoesNotContain(report.Faults, count => count is { Kind: FaultKind.FlushFails, Outcome: FaultOutcome.Harmless } or { Outcome: FaultOutcome.Silent });
        Assert.Contains(report.Faults, count => count is { Kind: FaultKind.SectorRot, Outcome: FaultOutcome.Detected });
    }

    [Fact]
    public void Records_without_checksums_are_found_by_rot()
    {
        var stamped = new Tested<IMetadataJournal>("stamped", new StampedJournal(hasChecksums: false, takesHalvesInOrder: false));
        CrashTestReport report = Run(new TestedPipeline("stamped", new Tested<IBlockFormat>("model", new ModelFormat()), new Tested<IOrderingPrimitive>("flush", new FlushOrdering()), stamped), workloads: 40);
        Assert.Contains(report.Failures, failure => failure.Fault is { Kind: FaultKind.SectorRot or FaultKind.BitRot or FaultKind.GarbageSector });
        Assert.Contains(report.Faults, count => count.Outcome == FaultOutcome.Silent);
    }

    [Fact]
    public void Zeros_in_place_of_an_unreadable_sector_are_found()
    {
        CrashTestReport report = Run(BrokenStrategies.Ordered(new ReadingZeros()), workloads: 40);
        Assert.Contains(report.Failures, failure => failure.Fault is { Kind: FaultKind.UnreadableSector or FaultKind.LostSector });
    }

    [Fact]
    public void Flush_that_is_tried_again_is_found()
    {
        CrashTestReport report = Run(BrokenStrategies.Ordered(new TryingAgain()), workloads: 40);
        Assert.Contains(report.Failures, failure => failure.Workload.Fault is { Kind: FaultKind.FlushFails } || failure.Message.Contains("flush", StringComparison.Ordinal));
    }

    [Fact]
    public void Damage_is_replayed_from_its_file()
    {
        CrashFailure failure = Run(BrokenStrategies.Ordered(new ReadingZeros()), workloads: 40).Failures.First(one => one.Fault is not null);
        string path = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():n}.json");
        try
        {
            ReplayFile.Of(failure).Save(path);
            ReplayFile file = ReplayFile.Load(path);
            ReplayVerdict verdict = Replay.Run(BrokenStrategies.Ordered(new ReadingZeros()), file);
            Assert.True(verdict.StillFails, verdict.Text);
            Assert.Equal(failure.Message, verdict.Failure!.Message);
            verdict = Replay.Run(BrokenStrategies.Ordered(new FDataSyncOrdering()), file);
            Assert.False(verdict.StillFails, verdict.Text);
            Assert.Contains(Story.Of(failure).ToLines(), line => line.Contains("found by fault", StringComparison.Ordinal));
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static CrashTestReport Run(TestedPipeline pipeline, long workloads) =>
        new CrashTest([pipeline], new CrashTestSettings { Model = PersistenceModel.Disk, Budget = TimeSpan.FromMinutes(3), MaxWorkloads = workloads, FaultsEvery = 4, StopAfter = 5 }).Run();

    /// <summary>Makes zeros of what cannot be read.</summary>
    private sealed class ReadingZeros : IOrderingPrimitive
    {
        public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) => new Medium(new FDataSyncOrdering().Attach(medium, context));

        private sealed class Medium(IOrderedMedium medium) : Passing(medium)
        {
            public override int Read(long offset, Span<byte> buffer)
            {
                try
                {
                    return base.Read(offset, buffer);
                }
                catch (StorageException)
                {
                    buffer.Clear();
                    return buffer.Length;
                }
            }
        }
    }

    /// <summary>Takes a second flush for as good as the first.</summary>
    private sealed class TryingAgain : IOrderingPrimitive
    {
        public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) => new Medium(new NoOrdering().Attach(medium, context), medium.GetCapability<IFlushableMedium>()!);

        private sealed class Medium(IOrderedMedium medium, IFlushableMedium device) : Passing(medium)
        {
            public override void Barrier() => Flush();

            public override void Flush()
            {
                try
                {
                    device.FlushData();
                }
                catch (StorageException)
                {
                    device.FlushData();
                }
            }
        }
    }

    private abstract class Passing(IOrderedMedium medium) : IOrderedMedium
    {
        public string Name => medium.Name;

        public long Length => medium.Length;

        public bool IsReadOnly => medium.IsReadOnly;

        public virtual int Read(long offset, Span<byte> buffer) => medium.Read(offset, buffer);

        public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content) => medium.Write(offset, data, content);

        public void SetLength(long length) => medium.SetLength(length);

        public virtual void Barrier() => medium.Barrier();

        public virtual void Flush() => medium.Flush();

        public T? GetCapability<T>() where T : class => null;

        public void Dispose() => medium.Dispose();
    }
}
