using StoragePlugins.CrashKit.Contracts;
using StoragePlugins.CrashKit.Contracts.Model;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.Fsync;

namespace StoragePlugins.Conformance.Tests;

/// <summary>Strategies that break one promise each, and the case that must say so: tests that cannot fail prove nothing.</summary>
public sealed class BrokenStrategiesTests
{
    [Theory]
    [InlineData("a failed flush is final, and the device is not asked again")]
    [InlineData("no power cut breaks it (disk)")]
    [InlineData("a medium that lacks what it needs is refused")]
    public void Ordering_that_does_nothing_is_found(string promise) =>
        AssertBroken(OrderingPrimitiveCases.For(new Tested<IOrderingPrimitive>("none", new NoOrdering())), promise);

    [Fact]
    public void Ordering_that_retries_a_failed_flush_is_found() =>
        AssertBroken(OrderingPrimitiveCases.For(new Tested<IOrderingPrimitive>("retrying", new Doctored { RetriesFlushes = true })), "a failed flush is final, and the device is not asked again");

    [Fact]
    public void Ordering_whose_barrier_does_nothing_is_found() =>
        AssertBroken(OrderingPrimitiveCases.For(new Tested<IOrderingPrimitive>("hasty", new Doctored { ForgetsBarriers = true })), "no power cut breaks it (disk)");

    [Fact]
    public void Ordering_that_lets_others_flush_is_found() =>
        AssertBroken(OrderingPrimitiveCases.For(new Tested<IOrderingPrimitive>("open", new Doctored { PassesFlushesOn = true })), "nobody flushes or orders behind its back");

    [Theory]
    [InlineData("no power cut breaks it (disk)")]
    public void Journal_that_writes_mappings_before_data_is_found(string promise) =>
        AssertBroken(MetadataJournalCases.For(new Tested<IMetadataJournal>("careless", new CarelessJournal())), promise);

    [Fact]
    public void Format_that_ignores_bounds_is_found() =>
        AssertBroken(BlockFormatCases.For(new Tested<IBlockFormat>("loose", new LooseFormat())), "requests outside the disk are refused, empty ones do nothing");

    private static void AssertBroken(IReadOnlyList<ConformanceCase> cases, string promise)
    {
        ConformanceException broken = Assert.Throws<ConformanceException>(() => cases.Single(one => one.Name == promise).Run(new ConformanceSettings { Budget = TimeSpan.FromSeconds(10) }));
        Assert.NotEmpty(broken.Message);
    }

    private sealed class Doctored : IOrderingPrimitive
    {
        public bool RetriesFlushes { get; init; }

        public bool ForgetsBarriers { get; init; }

        public bool PassesFlushesOn { get; init; }

        public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) =>
            new Medium(this, medium, medium.GetCapability<IFlushableMedium>() ?? throw new DiagnosticException("SP5010", "it cannot be flushed"));

        private sealed class Medium(Doctored how, IStorageMedium medium, IFlushableMedium flushable) : IOrderedMedium
        {
            public string Name => medium.Name;

            public long Length => medium.Length;

            public bool IsReadOnly => medium.IsReadOnly;

            public int Read(long offset, Span<byte> buffer) => medium.Read(offset, buffer);

            public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content) => medium.Write(offset, data, content);

            public void SetLength(long length) => medium.SetLength(length);

            public void Barrier()
            {
                if (!how.ForgetsBarriers) Flush();
            }

            public void Flush()
            {
                try
                {
                    flushable.FlushData();
                }
                catch (StorageException failure) when (!how.RetriesFlushes)
                {
                    throw new DurabilityLostException("flush", Name, failure.Message, failure);
                }
                catch (StorageException)
                {
                    // "It will work the next time." It does, and has lost the data.
                }
            }

            public T? GetCapability<T>() where T : class => typeof(T) == typeof(IFlushableMedium) && !how.PassesFlushesOn ? null : medium.GetCapability<T>();

            public void Dispose() => medium.Dispose();
        }
    }

    private sealed class CarelessJournal : IMetadataJournal
    {
        public IJournalSession Open(IJournalSite site, IOrderedMedium home, StrategyContext context) => new Session(home);

        private sealed class Session(IOrderedMedium home) : IJournalSession
        {
            public IOrderedMedium Home => home;

            public long MaxTransactionBytes => long.MaxValue;

            public bool IsAtomic => false;

            public RecoveryReport Recover() => RecoveryReport.Clean;

            public void Start()
            {
            }

            public void Commit(MetadataTransaction transaction, CommitGoal goal)
            {
                for (int stage = 0; stage < MetadataTransaction.MaxStages; stage++)
                    foreach (AfterImage image in transaction.Stage(stage)) home.Write(image.Offset, transaction.Bytes(image), image.Content);
                home.Flush();
            }

            public void Checkpoint()
            {
            }

            public void Close() => home.Flush();

            public T? GetCapability<T>() where T : class => null;

            public void Dispose()
            {
            }
        }
    }

    private sealed class LooseFormat : IBlockFormat
    {
        private readonly ModelFormat _model = new();

        public FormatMatch Probe(IStorageMedium medium) => _model.Probe(medium);

        public void Create(IStorageMedium medium, CreateRequest request, StrategyContext context) => _model.Create(medium, request, context);

        public IDiskImage Open(OpenRequest request, StrategyContext context) => new Image(_model.Open(request, context));

        private sealed class Image(IDiskImage inner) : IDiskImage
        {
            public ImageDescription Description => inner.Description;

            public IReadOnlyList<DiskEntry> ListDisks(string? after, int limit) => inner.ListDisks(after, limit);

            public IVirtualDisk OpenDisk(string name) => new Disk(inner.OpenDisk(name));

            public void Close() => inner.Close();

            public T? GetCapability<T>() where T : class => null;

            public void Dispose() => inner.Dispose();
        }

        private sealed class Disk(IVirtualDisk inner) : IVirtualDisk
        {
            public long Length => inner.Length;

            public bool IsReadOnly => inner.IsReadOnly;

            public int PreferredBlockSize => inner.PreferredBlockSize;

            public void Read(long offset, Span<byte> buffer)
            {
                if (offset >= 0 && offset <= Length - buffer.Length) inner.Read(offset, buffer);
                else buffer.Clear();
            }

            public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags = WriteFlags.None) => inner.Write(offset, data, flags);

            public void Flush() => inner.Flush();

            public T? GetCapability<T>() where T : class => null;

            public void Dispose() => inner.Dispose();
        }
    }
}
