using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Tests;

namespace StoragePlugins.Fsync.Tests;

public sealed class SyncOrderingTests
{
    private static readonly StrategyContext s_context = new(null, new StorageMeter(), NullLogger.Instance);

    [Fact]
    public void Fdatasync_makes_barriers_and_flushes_one_fdatasync_each()
    {
        var medium = new MemoryMedium();
        IOrderedMedium ordered = new FDataSyncOrdering().Attach(medium, s_context);
        ordered.Write(0, new byte[8], ContentClass.GuestData);
        ordered.Barrier();
        ordered.Write(8, new byte[8], ContentClass.Map);
        ordered.Flush();
        Assert.Equal(["write 0+8 GuestData", "fdatasync", "write 8+8 Map", "fdatasync"], medium.Log);
    }

    /// <summary>Of two concurrent fdatasyncs Linux tells only one that a write was lost: the other would acknowledge it.</summary>
    [Fact]
    public void Two_syncs_never_run_at_once()
    {
        var medium = new SlowSyncMedium();
        IOrderedMedium ordered = new FDataSyncOrdering().Attach(medium, new StrategyContext(null, new StorageMeter(), Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance));
        Thread[] threads = [.. Enumerable.Range(0, 4).Select(i => new Thread(i % 2 == 0 ? ordered.Flush : ordered.Barrier))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        Assert.Equal(4, medium.Syncs);
        Assert.Equal(1, medium.MostAtOnce);
    }

    [Fact]
    public void Fsync_syncs_all_metadata()
    {
        var medium = new MemoryMedium();
        IOrderedMedium ordered = new FSyncOrdering().Attach(medium, s_context);
        ordered.Barrier();
        ordered.Flush();
        Assert.Equal(["fsync", "fsync"], medium.Log);
    }

    [Fact]
    public void None_never_syncs_and_says_that_it_is_unsafe()
    {
        var medium = new MemoryMedium { CannotFlush = true };
        IOrderedMedium ordered = new NoOrdering().Attach(medium, s_context);
        ordered.Barrier();
        ordered.Flush();
        Assert.Empty(medium.Log);
        var strategy = (StrategyAttribute)Attribute.GetCustomAttribute(typeof(NoOrdering), typeof(StrategyAttribute))!;
        Assert.NotNull(strategy.Unsafe);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Failed_sync_is_never_retried_and_poisons_writes_and_syncs_but_not_reads(bool byBarrier)
    {
        var medium = new MemoryMedium();
        IOrderedMedium ordered = new FDataSyncOrdering().Attach(medium, s_context);
        ordered.Write(0, [1, 2, 3], ContentClass.GuestData);
        int calls = 0;
        medium.Before = operation =>
        {
            if (operation == "fdatasync" && ++calls == 1) throw new StorageException(StorageError.Io, operation, "memory", -1, 0, "Input/output error");
        };

        Assert.Throws<DurabilityLostException>(byBarrier ? ordered.Barrier : ordered.Flush);
        for (int i = 0; i < 3; i++)
        {
            Assert.Throws<DurabilityLostException>(ordered.Flush);
            Assert.Throws<DurabilityLostException>(ordered.Barrier);
            Assert.Throws<DurabilityLostException>(() => ordered.Write(0, [9], ContentClass.GuestData));
            Assert.Throws<DurabilityLostException>(() => ordered.SetLength(0));
        }

        Assert.Equal(1, calls);
        byte[] read = new byte[3];
        Assert.Equal(3, ordered.Read(0, read));
        Assert.Equal([1, 2, 3], read);
    }

    [Fact]
    public void Failed_write_is_the_callers_and_does_not_poison()
    {
        var medium = new MemoryMedium();
        IOrderedMedium ordered = new FDataSyncOrdering().Attach(medium, s_context);
        medium.Before = operation =>
        {
            if (operation.StartsWith("write", StringComparison.Ordinal)) throw new StorageException(StorageError.NoSpace, "write", "memory", 0, 1, "No space left on device");
        };
        Assert.Equal(StorageError.NoSpace, Assert.Throws<StorageException>(() => ordered.Write(0, [1], ContentClass.GuestData)).Error);
        ordered.Flush();
    }

    [Fact]
    public void Medium_that_cannot_flush_is_refused_and_nothing_weaker_taken()
    {
        var medium = new MemoryMedium { CannotFlush = true };
        Assert.Equal("SP5010", Assert.Throws<DiagnosticException>(() => new FDataSyncOrdering().Attach(medium, s_context)).Code);
        Assert.Equal("SP5010", Assert.Throws<DiagnosticException>(() => new FSyncOrdering().Attach(medium, s_context)).Code);
    }

    [Fact]
    public void Nobody_can_flush_behind_its_back()
    {
        IOrderedMedium ordered = new FDataSyncOrdering().Attach(new MemoryMedium(), s_context);
        Assert.Null(ordered.GetCapability<IFlushableMedium>());
        Assert.NotNull(ordered.GetCapability<IDeallocatingMedium>());
    }

    private sealed class SlowSyncMedium : IStorageMedium, IFlushableMedium
    {
        private int _running;

        public int Syncs { get; private set; }

        public int MostAtOnce { get; private set; }

        public string Name => "slow";

        public long Length => 0;

        public bool IsReadOnly => false;

        public void FlushData()
        {
            MostAtOnce = Math.Max(MostAtOnce, Interlocked.Increment(ref _running));
            Thread.Sleep(20);
            Syncs++;
            Interlocked.Decrement(ref _running);
        }

        public void FlushAll() => FlushData();

        public int Read(long offset, Span<byte> buffer) => 0;

        public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
        {
        }

        public void SetLength(long length)
        {
        }

        public T? GetCapability<T>() where T : class => this as T;

        public void Dispose()
        {
        }
    }
}
