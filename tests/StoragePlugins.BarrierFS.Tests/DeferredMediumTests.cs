using StoragePlugins.BarrierFS.Deferred;

namespace StoragePlugins.BarrierFS.Tests;

public sealed class DeferredMediumTests : IDisposable
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(20);

    /// <summary>Long enough for a thread that wrongly goes on to be seen.</summary>
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(50);

    private readonly WatchedMedium _medium = new();
    private readonly StorageMeter _meter = new();
    private readonly ListLogger _log = new();
    private readonly DeferredMedium _ordered;

    public DeferredMediumTests() => _ordered = New(64 << 20);

    public void Dispose()
    {
        _medium.SyncGate.Set();
        _ordered.Dispose();
    }

    [Fact]
    public void Barrier_returns_before_the_sync_and_later_writes_do_not_reach_the_medium_before_it()
    {
        Write(0, 1);
        _medium.SyncGate.Reset();
        _ordered.Barrier();
        Until(() => _medium.Syncs == 1, "the background thread syncs by itself");
        Write(0, 2);
        Write(4096, 3);
        Thread.Sleep(s_pause);
        Assert.Equal([1, 1, 1, 1], _medium.Content());
        Assert.Equal(2, Read(0));
        Assert.Equal(3, Read(4096));
        Assert.Equal(4100, _ordered.Length);
        _medium.SyncGate.Set();
        Until(() => _medium.Length == 4100 && _ordered.HeldBytes == 0, "what was held is written without a flush");
        Assert.Equal(1, _medium.Syncs);
        Assert.Equal(1, _meter.Read().Barriers);
    }

    [Fact]
    public void Flush_behind_a_barrier_costs_two_fdatasyncs_and_the_last_call_is_one()
    {
        Write(0, 1);
        _ordered.Barrier();
        Write(4096, 2);
        _ordered.Flush();
        Assert.Equal("write sync write sync", Summary());
    }

    [Fact]
    public void Flush_without_barriers_costs_one_and_with_nothing_written_none()
    {
        Write(0, 1);
        _ordered.Flush();
        _ordered.Flush();
        _ordered.Barrier();
        _ordered.Flush();
        Assert.Equal("write sync", Summary());
        Assert.Equal(0, _meter.Read().Barriers);
    }

    [Fact]
    public void First_flush_syncs_though_nothing_was_written_since_the_image_was_opened()
    {
        // An earlier process may have been killed with its writes in the page cache; the image was read from there.
        _ordered.Flush();
        Assert.Equal(1, _medium.Syncs);
    }

    [Fact]
    public void Barrier_then_flush_with_nothing_between_costs_one()
    {
        Write(0, 1);
        _ordered.Barrier();
        _ordered.Barrier();
        _ordered.Flush();
        Assert.Equal("write sync", Summary());
        Assert.Equal(1, _meter.Read().Barriers);
    }

    [Fact]
    public void Closed_epochs_get_a_sync_each_in_order_and_empty_ones_none()
    {
        Write(0, 1);
        _medium.SyncGate.Reset();
        for (byte epoch = 2; epoch <= 5; epoch++)
        {
            _ordered.Barrier();
            _ordered.Barrier();
            Write(epoch * 4096, epoch);
        }

        _medium.SyncGate.Set();
        _ordered.Flush();
        Assert.Equal("write sync write sync write sync write sync write sync", Summary());
        Assert.Equal(4, _meter.Read().Barriers);
    }

    [Fact]
    public void Writes_beside_a_flush_are_not_held_back()
    {
        Write(0, 1);
        _medium.SyncGate.Reset();
        var flush = Task.Run(_ordered.Flush);
        Until(() => _medium.Syncs == 1, "flush");
        Write(8, 2);
        Assert.Equal(12, _medium.Length);
        _medium.SyncGate.Set();
        flush.Wait(s_deadline);
        _ordered.Flush();
        Assert.Equal(2, _medium.Syncs);
    }

    [Fact]
    public void Write_in_flight_during_a_barrier_is_synced_with_the_epoch_that_it_began_in()
    {
        using var entered = new ManualResetEventSlim();
        using var release = new ManualResetEventSlim();
        Write(0, 1);
        _medium.Before = operation =>
        {
            if (operation != "write" || entered.IsSet) return;
            entered.Set();
            release.Wait(s_deadline);
        };
        var slow = Task.Run(() => Write(8, 2));
        entered.Wait(s_deadline);
        _ordered.Barrier();
        Write(16, 3);
        Thread.Sleep(s_pause);
        Assert.Equal(0, _medium.Syncs);
        release.Set();
        slow.Wait(s_deadline);
        _ordered.Flush();
        Assert.Equal("write write sync write sync", Summary());
    }

    [Fact]
    public void Flushes_that_wait_for_each_other_share_a_sync()
    {
        Write(0, 1);
        _medium.SyncGate.Reset();
        var first = Task.Run(_ordered.Flush);
        Until(() => _medium.Syncs == 1, "first flush");
        Write(8, 2);
        Task[] others = [.. Enumerable.Range(0, 4).Select(_ => Task.Factory.StartNew(_ordered.Flush, TaskCreationOptions.LongRunning))];
        Thread.Sleep(s_pause);
        _medium.SyncGate.Set();
        Task.WaitAll([first, .. others], s_deadline);
        Assert.Equal(2, _medium.Syncs);
    }

    [Fact]
    public void Neighbouring_and_repeated_writes_of_an_epoch_reach_the_medium_as_one()
    {
        HoldWrites();
        for (int i = 0; i < 8; i++) _ordered.Write(8192 + (i * 8), Fill(8, (byte)i), ContentClass.Map);
        _ordered.Write(8192 + 16, Fill(4, 99), ContentClass.Map);
        _medium.SyncGate.Set();
        _ordered.Flush();
        WatchedLine write = Assert.Single(Writes().Skip(1));
        Assert.Equal((8192, 64), (write.Offset, write.Bytes.Length));
        Assert.Equal(99, write.Bytes[16]);
        Assert.Equal(2, write.Bytes[20]);
    }

    [Fact]
    public void Write_is_not_merged_into_an_older_one_under_a_newer_one()
    {
        HoldWrites();
        _ordered.Write(100, Fill(100, 1), ContentClass.Map);
        _ordered.Write(150, Fill(100, 2), ContentClass.Map);
        _ordered.Write(100, Fill(100, 3), ContentClass.Map);
        byte[] seen = new byte[150];
        _ordered.Read(100, seen);
        _medium.SyncGate.Set();
        _ordered.Flush();
        byte[] expected = [.. Fill(100, 3), .. Fill(50, 2)];
        Assert.Equal(expected, seen);
        Assert.Equal(expected, _medium.Content()[100..250]);
    }

    [Fact]
    public void Write_is_not_merged_across_a_barrier()
    {
        HoldWrites();
        _ordered.Write(4096, Fill(8, 1), ContentClass.Map);
        _ordered.Barrier();
        _ordered.Write(4096, Fill(8, 2), ContentClass.Map);
        _ordered.Barrier();
        _ordered.Write(4104, Fill(8, 3), ContentClass.Map);
        _medium.SyncGate.Set();
        _ordered.Flush();
        Assert.Equal("write sync write sync write sync write sync", Summary());
    }

    [Theory]
    [InlineData(4096, 1)]
    [InlineData(4100, 2)]
    public void Write_is_not_merged_into_one_that_the_medium_is_carrying_out(long offset, int position)
    {
        HoldWrites();
        Write(4096, 1);
        using var entered = new ManualResetEventSlim();
        using var release = new ManualResetEventSlim();
        _medium.After = operation =>
        {
            if (operation != "write" || entered.IsSet) return;
            entered.Set();
            release.Wait(s_deadline);
        };
        _medium.SyncGate.Set();
        Assert.True(entered.Wait(s_deadline));
        Write(offset, 2);
        release.Set();
        _ordered.Flush();
        Assert.Equal(2, _medium.Content()[offset]);
        Assert.Equal(position * 4, _medium.Length - 4096);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Read_does_not_miss_a_write_that_leaves_the_queue_while_it_reads_the_medium(bool nonBlocking)
    {
        _ordered.Write(0, new byte[8192], ContentClass.GuestData);
        HoldWrites();
        Write(4096, 2);
        using var entered = new ManualResetEventSlim();
        using var release = new ManualResetEventSlim();
        _medium.After = operation =>
        {
            if (operation != "read" || entered.IsSet) return;
            entered.Set();
            release.Wait(s_deadline);
        };
        byte[] read = new byte[4];
        var reader = Task.Factory.StartNew(
            () => nonBlocking ? _ordered.TryRead(4096, read) : _ordered.Read(4096, read) == 4, TaskCreationOptions.LongRunning);
        Assert.True(entered.Wait(s_deadline));
        _medium.SyncGate.Set();
        Until(() => _ordered.HeldBytes == 0, "the write leaves the queue");
        release.Set();
        Assert.Equal(!nonBlocking, await reader.WaitAsync(s_deadline));
        if (!nonBlocking) Assert.Equal(Fill(4, 2), read);
    }

    [Fact]
    public void Large_write_is_held_in_pieces_and_read_back_whole()
    {
        HoldWrites();
        byte[] data = new byte[300_000];
        new Random(1).NextBytes(data);
        _ordered.Write(12_345, data, ContentClass.GuestData);
        byte[] read = new byte[data.Length + 20_000];
        Assert.Equal(12_345 + data.Length - 10_000, _ordered.Read(10_000, read));
        Assert.Equal(data, read[2345..(2345 + data.Length)]);
        Assert.All(read[..2345], value => Assert.Equal(0, value));
        Assert.Equal(0, _ordered.Read(12_345 + data.Length, read));
        _medium.SyncGate.Set();
        _ordered.Flush();
        Assert.Equal(data, _medium.Content()[12_345..]);
    }

    [Fact]
    public void Non_blocking_read_sees_held_bytes()
    {
        Write(0, 1);
        HoldWrites();
        Write(0, 7);
        byte[] read = new byte[4];
        Assert.True(_ordered.GetCapability<INonBlockingMedium>()!.TryRead(0, read));
        Assert.Equal(Fill(4, 7), read);
        Write(4096, 8);
        Assert.False(_ordered.GetCapability<INonBlockingMedium>()!.TryRead(4096, read));
    }

    [Fact]
    public async Task Memory_is_bounded_and_a_writer_waits_for_room()
    {
        const int bound = 1 << 20, written = 4 << 20;
        using var medium = new DisposableMedium();
        using DeferredMedium ordered = New(bound, medium.Medium);
        ordered.Write(0, new byte[1], ContentClass.GuestData);
        medium.Medium.SyncGate.Reset();
        ordered.Barrier();
        byte[] data = new byte[written];
        new Random(2).NextBytes(data);
        var writer = Task.Run(() =>
        {
            for (int offset = 0; offset < written; offset += 48 << 10) ordered.Write(offset, data.AsSpan(offset, Math.Min(48 << 10, written - offset)), ContentClass.GuestData);
        });
        Until(() => ordered.HeldBytes > bound - BufferPool.LargeBytes, "the queue fills");
        await Task.Delay(s_pause);
        Assert.False(writer.IsCompleted);
        Assert.InRange(ordered.HeldBytes, 1, bound);
        Assert.Equal(1, medium.Medium.Length);
        medium.Medium.SyncGate.Set();
        await writer.WaitAsync(s_deadline);
        ordered.Flush();
        Assert.Equal(0, ordered.HeldBytes);
        Assert.Equal(data, medium.Medium.Content());
    }

    [Fact]
    public async Task Write_larger_than_the_queue_gets_through()
    {
        using var medium = new DisposableMedium();
        using DeferredMedium ordered = New(1 << 20, medium.Medium);
        byte[] data = new byte[5 << 20];
        new Random(3).NextBytes(data);
        ordered.Write(0, new byte[1], ContentClass.GuestData);
        medium.Medium.SyncGate.Reset();
        ordered.Barrier();
        var writer = Task.Run(() => ordered.Write(777, data, ContentClass.GuestData));
        await Task.Delay(s_pause);
        Assert.False(writer.IsCompleted);
        medium.Medium.SyncGate.Set();
        await writer.WaitAsync(s_deadline);
        ordered.Flush();
        Assert.Equal(data, medium.Medium.Content()[777..]);
    }

    [Fact]
    public async Task Closed_epochs_are_bounded_so_that_a_flush_is_too()
    {
        HoldWrites();
        int done = 0;
        var writer = Task.Run(() =>
        {
            for (int i = 0; i < DeferredMedium.MaxClosedEpochs * 2; i++)
            {
                Write(i * 4, 1);
                _ordered.Barrier();
                Interlocked.Increment(ref done);
            }
        });
        Until(() => Volatile.Read(ref done) == DeferredMedium.MaxClosedEpochs - 1, "epochs fill");
        await Task.Delay(s_pause);
        Assert.False(writer.IsCompleted);
        Assert.Equal(DeferredMedium.MaxClosedEpochs - 1, Volatile.Read(ref done));
        _medium.SyncGate.Set();
        await writer.WaitAsync(s_deadline);
    }

    [Fact]
    public void Operations_keep_the_order_of_a_write_and_wait_for_their_answer()
    {
        Write(0, 1);
        Write(8192, 1);
        _medium.SyncGate.Reset();
        _ordered.Barrier();
        Write(4096, 2);
        var operations = Task.Factory.StartNew(
            () =>
            {
                Assert.True(_ordered.GetCapability<IDeallocatingMedium>()!.TryPunchHole(4096, 2));
                Assert.True(_ordered.GetCapability<IDeallocatingMedium>()!.TryZeroRange(0, 2));
                _ordered.GetCapability<IPreallocatingMedium>()!.Preallocate(16384, 4096);
                _ordered.SetLength(6000);
            },
            TaskCreationOptions.LongRunning);
        Thread.Sleep(s_pause);
        Assert.DoesNotContain(_medium.LogSoFar(), line => line.Event == WatchedEvent.Other);
        Assert.Equal(2, Read(4096));
        _medium.SyncGate.Set();
        Assert.True(operations.Wait(s_deadline));
        Assert.Equal(6000, _ordered.Length);
        _ordered.Flush();
        Assert.Equal(6000, _medium.Length);
        byte[] content = _medium.Content();
        Assert.Equal([0, 0, 1, 1], content[..4]);
        Assert.Equal([0, 0, 2, 2], content[4096..4100]);
        Assert.Equal("write write sync write other other other other sync", Summary());
    }

    [Fact]
    public void Failed_operation_is_its_callers_and_does_not_poison()
    {
        HoldWrites();
        _medium.Before = operation =>
        {
            if (operation == "length") throw new StorageException(StorageError.NoSpace, "truncate", "watched", 0, 0, "No space left on device");
        };
        var operation = Task.Factory.StartNew(() => _ordered.SetLength(1 << 20), TaskCreationOptions.LongRunning);
        Thread.Sleep(s_pause);
        _medium.SyncGate.Set();
        Assert.Equal(StorageError.NoSpace, Assert.IsType<StorageException>(Assert.Throws<AggregateException>(() => operation.Wait(s_deadline)).InnerException).Error);
        Write(0, 5);
        _ordered.Flush();
        Assert.Throws<StorageException>(() => _ordered.SetLength(5));
        Write(0, 6);
        _ordered.Flush();
    }

    [Fact]
    public void Runs_are_data_while_anything_is_held()
    {
        ISparseMedium sparse = _ordered.GetCapability<ISparseMedium>()!;
        Write(4092, 1);
        Assert.Equal((4096, true), sparse.DescribeRun(0));
        HoldWrites();
        Write(8188, 2);
        Assert.Equal((8192, false), sparse.DescribeRun(0));
        Assert.Equal((0, true), sparse.DescribeRun(8192));
    }

    [Fact]
    public void Nothing_that_goes_past_the_queue_is_passed_on()
    {
        Assert.Null(_ordered.GetCapability<IFlushableMedium>());
        Assert.Null(_ordered.GetCapability<IBarrierMedium>());
        Assert.Null(_ordered.GetCapability<IFileMedium>());
        Assert.NotNull(_ordered.GetCapability<IWriteCacheMedium>());
    }

    [Fact]
    public void Closing_writes_what_is_held_in_its_order()
    {
        HoldWrites();
        Write(0, 1);
        _ordered.Barrier();
        Write(0, 2);
        var close = Task.Run(_ordered.Dispose);
        Thread.Sleep(s_pause);
        _medium.SyncGate.Set();
        Assert.True(close.Wait(s_deadline));
        Assert.Equal("write sync write sync write", Summary());
        Assert.Equal(Fill(4, 2), _medium.Content());
        Assert.True(_medium.IsDisposed);
        Assert.Empty(_log.Lines);
    }

    /// <summary>Closes an epoch whose sync waits at the gate, so that all later writes are held.</summary>
    private void HoldWrites()
    {
        Write(0, 1);
        _medium.SyncGate.Reset();
        _ordered.Barrier();
    }

    private DeferredMedium New(long queue, WatchedMedium? medium = null)
        => (DeferredMedium)Attach.With(medium ?? _medium, BarrierMode.Deferred, meter: _meter, logger: new OnlyErrors(_log), queue: queue);

    private void Write(long offset, byte value) => _ordered.Write(offset, Fill(4, value), ContentClass.GuestData);

    private int Read(long offset)
    {
        byte[] read = new byte[1];
        return _ordered.Read(offset, read) == 1 ? read[0] : -1;
    }

    private IEnumerable<WatchedLine> Writes() => _medium.LogSoFar().Where(line => line.Event == WatchedEvent.WriteStart);

    private string Summary() => string.Join(' ', _medium.LogSoFar().Select(line => line.Event switch
    {
        WatchedEvent.WriteStart => "write",
        WatchedEvent.SyncEnd => "sync",
        WatchedEvent.Other => "other",
        _ => "",
    }).Where(word => word.Length > 0));

    private static byte[] Fill(int length, byte value)
    {
        byte[] bytes = new byte[length];
        bytes.AsSpan().Fill(value);
        return bytes;
    }

    private static void Until(Func<bool> condition, string what) => Assert.True(SpinWait.SpinUntil(condition, s_deadline), what);

    private sealed class DisposableMedium : IDisposable
    {
        public WatchedMedium Medium { get; } = new();

        public void Dispose() => Medium.SyncGate.Set();
    }
}
