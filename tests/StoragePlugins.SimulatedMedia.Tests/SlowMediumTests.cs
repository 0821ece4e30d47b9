using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using LoggingMedium = StoragePlugins.Tests.MemoryMedium;

namespace StoragePlugins.SimulatedMedia.Tests;

public sealed class SlowMediumTests
{
    private static readonly TimeSpan s_cost = TimeSpan.FromMilliseconds(3);

    // Where something must not be paid for, on a machine that is busy with other things.
    private static readonly TimeSpan s_highCost = TimeSpan.FromMilliseconds(200);

    [Fact]
    public void A_flush_takes_its_cost_and_hardly_more()
    {
        IStorageMedium medium = Slow(new LoggingMedium(), new SlowOptions { Flush = s_cost });
        IFlushableMedium flushable = medium.GetCapability<IFlushableMedium>()!;
        TimeSpan[] times = [.. Enumerable.Range(0, 21).Select(i => Time(i % 2 == 0 ? flushable.FlushData : flushable.FlushAll)).Order()];
        Assert.True(times[0] >= s_cost, $"{times[0]}");
        // The fastest: a busy machine may keep most of them waiting.
        Assert.True(times[0] < s_cost + TimeSpan.FromMilliseconds(0.2), $"{times[0]}");
    }

    [Fact]
    public void A_write_takes_its_cost_and_arrives_with_its_content_class()
    {
        var inner = new LoggingMedium();
        IStorageMedium medium = Slow(inner, new SlowOptions { Write = s_highCost });
        Assert.True(Time(() => medium.Write(512, [1, 2], ContentClass.Map)) >= s_highCost);
        Assert.Equal(["write 512+2 Map"], inner.Log);
        Assert.True(Time(() => medium.GetCapability<IFlushableMedium>()!.FlushData()) < s_highCost);
    }

    [Fact]
    public void A_flush_pays_for_the_jumps_since_the_last_one_and_not_for_writes_in_a_row()
    {
        IStorageMedium medium = Slow(new LoggingMedium(), new SlowOptions { Seek = s_highCost });
        IFlushableMedium flushable = medium.GetCapability<IFlushableMedium>()!;
        medium.Write(0, new byte[512], ContentClass.GuestData); // to the first place: a jump
        medium.Write(512, new byte[512], ContentClass.GuestData);
        medium.Write(1024, new byte[512], ContentClass.GuestData);
        medium.Write(4096, new byte[512], ContentClass.GuestData); // a jump
        TimeSpan first = Time(flushable.FlushData), second = Time(flushable.FlushData);
        Assert.True(first >= s_highCost * 2 && first < s_highCost * 3, $"{first}");
        Assert.True(second < s_highCost, $"{second}");
    }

    [Fact]
    public void Concurrent_costs_add_up_since_a_device_does_one_thing_at_a_time()
    {
        IFlushableMedium flushable = Slow(new LoggingMedium(), new SlowOptions { Flush = s_cost }).GetCapability<IFlushableMedium>()!;
        TimeSpan all = Time(() => Task.WaitAll([.. Enumerable.Range(0, 4).Select(_ => Task.Run(flushable.FlushData))]));
        Assert.True(all >= s_cost * 4, $"{all}");
    }

    [Fact]
    public void A_flush_that_fails_fails_as_it_was_and_without_waiting()
    {
        var inner = new LoggingMedium { Before = operation => throw new StorageException(StorageError.Io, operation, "memory", -1, 0, "Input/output error") };
        IFlushableMedium flushable = Slow(inner, new SlowOptions { Flush = TimeSpan.FromSeconds(30) }).GetCapability<IFlushableMedium>()!;
        Assert.Equal(StorageError.Io, Assert.Throws<StorageException>(flushable.FlushData).Error);
    }

    [Fact]
    public void What_would_go_by_the_costs_is_not_passed_on()
    {
        IStorageMedium medium = Slow(new EverythingMedium(), new SlowOptions { Flush = s_cost });
        Assert.Null(medium.GetCapability<IFileMedium>());
        Assert.Null(medium.GetCapability<IPersistentMemory>());
        Assert.Same(medium, medium.GetCapability<IFlushableMedium>());
        Assert.Same(medium, medium.GetCapability<IPreallocatingMedium>());
        Assert.NotNull(medium.GetCapability<IDeallocatingMedium>());
        Assert.NotNull(medium.GetCapability<INonBlockingMedium>());
        Assert.NotNull(medium.GetCapability<ISparseMedium>());
    }

    [Fact]
    public void Nothing_is_offered_that_the_medium_beneath_does_not_have()
    {
        IStorageMedium medium = Slow(new LoggingMedium { CannotFlush = true, CannotDeallocate = true }, new SlowOptions { Preset = SlowPreset.Hdd });
        Assert.Null(medium.GetCapability<IFlushableMedium>());
        Assert.Null(medium.GetCapability<IBarrierMedium>());
        Assert.Null(medium.GetCapability<IDeallocatingMedium>());
        Assert.Null(medium.GetCapability<INonBlockingMedium>());
        Assert.Null(medium.GetCapability<IPreallocatingMedium>());
        Assert.Null(medium.GetCapability<ISparseMedium>());
        Assert.Null(medium.GetCapability<IWriteCacheMedium>());
    }

    [Fact]
    public void Barriers_of_the_medium_beneath_are_passed_on_with_their_cost()
    {
        var inner = new EverythingMedium();
        IBarrierMedium barrier = Slow(inner, new SlowOptions { Barrier = s_cost }).GetCapability<IBarrierMedium>()!;
        Assert.True(Time(barrier.Barrier) >= s_cost);
        Assert.Equal(1, inner.Barriers);
    }

    [Theory]
    [InlineData(WriteCacheKind.WriteThrough, 1, WriteCacheKind.Volatile)]
    [InlineData(WriteCacheKind.WriteThrough, 0, WriteCacheKind.WriteThrough)]
    [InlineData(WriteCacheKind.Unknown, 1, WriteCacheKind.Unknown)]
    [InlineData(WriteCacheKind.Volatile, 0, WriteCacheKind.Volatile)]
    public void A_device_whose_flushes_cost_something_has_a_volatile_cache(WriteCacheKind inner, int flushMilliseconds, WriteCacheKind expected)
    {
        IStorageMedium medium = Slow(new EverythingMedium { WriteCache = inner }, new SlowOptions { Flush = TimeSpan.FromMilliseconds(flushMilliseconds) });
        Assert.Equal(expected, medium.GetCapability<IWriteCacheMedium>()!.WriteCache);
    }

    [Fact]
    public void What_is_given_replaces_the_preset_and_the_rest_of_it_stays()
    {
        DeviceCosts preset = DeviceCosts.Of(SlowPreset.ConsumerSsd);
        DeviceCosts costs = new SlowOptions { Preset = SlowPreset.ConsumerSsd, Flush = TimeSpan.FromMilliseconds(7) }.Costs();
        Assert.Equal(preset with { Flush = TimeSpan.FromMilliseconds(7) }, costs);
        Assert.Equal(default, new SlowOptions().Costs());
    }

    private static IStorageMedium Slow(IStorageMedium inner, SlowOptions options) => new SlowMediumFactory().Open(
        new MediumRequest { Location = "disk", OpenInner = () => inner }, new StrategyContext(options, new StorageMeter(), NullLogger.Instance));

    [Fact]
    public void Msync_of_a_mapping_costs_a_flush_and_a_fence_costs_nothing()
    {
        var costs = new DeviceCosts { Flush = TimeSpan.FromMilliseconds(20) };
        IPersistentMemory byMsync = new SlowMedium(new MappedMedium(PersistenceDomain.Msync), costs).GetCapability<IMappableMedium>()!.Map(new MappingRequest());
        IPersistentMemory byFence = new SlowMedium(new MappedMedium(PersistenceDomain.Adr), costs).GetCapability<IMappableMedium>()!.Map(new MappingRequest());
        Assert.True(Time(() => byMsync.Persist(0, 64)) >= costs.Flush);
        Assert.True(Time(() => byFence.Persist(0, 64)) < costs.Flush);
    }

    private static TimeSpan Time(Action action)
    {
        long start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start);
    }

    /// <summary>Has every capability that a medium can have.</summary>
    private class EverythingMedium : LoggingMedium, IStorageMedium, IBarrierMedium, IFileMedium, INonBlockingMedium, IPreallocatingMedium, ISparseMedium, IWriteCacheMedium, IPersistentMemory
    {
        public int Barriers { get; private set; }

        public WriteCacheKind WriteCache { get; init; }

        public Microsoft.Win32.SafeHandles.SafeFileHandle Handle => new();

        public string Path => "/disk";

        public PersistenceDomain Domain { get; init; } = PersistenceDomain.None;

        public bool IsEmulated => true;

        T? ICapabilitySource.GetCapability<T>() where T : class => this as T;

        public void Barrier() => Barriers++;

        public bool TryRead(long offset, Span<byte> buffer) => Read(offset, buffer) == buffer.Length;

        public void Preallocate(long offset, long length) => SetLength(offset + length);

        public (long Length, bool IsHole) DescribeRun(long offset) => (Length - offset, false);

        public ReadOnlySpan<byte> View(long offset, int length) => default;

        public void Store(long offset, ReadOnlySpan<byte> data) => Write(offset, data, ContentClass.GuestData);

        public void StoreNonTemporal(long offset, ReadOnlySpan<byte> data) => Store(offset, data);

        public void FlushLines(long offset, long length)
        {
        }

        public void Fence()
        {
        }

        public void Persist(long offset, long length)
        {
        }

        public void ThrowIfLost()
        {
        }
    }

    /// <summary>Can be mapped, in a domain.</summary>
    private sealed class MappedMedium : EverythingMedium, IMappableMedium
    {
        public MappedMedium(PersistenceDomain domain) => Domain = domain;

        public IPersistentMemory Map(MappingRequest request) => this;
    }
}
