using StoragePlugins.BarrierFS.Deferred;

namespace StoragePlugins.BarrierFS.Tests;

public sealed class DeferredPoisonTests
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(20);
    private readonly WatchedMedium _medium = new();
    private readonly ListLogger _log = new();
    private readonly DeferredMedium _ordered;

    public DeferredPoisonTests() => _ordered = (DeferredMedium)Attach.With(_medium, BarrierMode.Deferred, logger: new OnlyErrors(_log));

    [Theory]
    [InlineData("fdatasync")]
    [InlineData("write")]
    public void Failure_in_the_background_is_final_and_nothing_held_is_ever_written(string failing)
    {
        _ordered.Write(0, [1, 1, 1, 1], ContentClass.GuestData);
        _medium.SyncGate.Reset();
        _ordered.Barrier();
        _ordered.Write(0, [2, 2], ContentClass.Map);
        _ordered.Write(8192, [3], ContentClass.Map);
        _ordered.Barrier();
        _ordered.Write(0, [4], ContentClass.Map);
        int failures = 0;
        _medium.Before = operation =>
        {
            if (operation == failing && Interlocked.Increment(ref failures) == 1) throw new StorageException(StorageError.Io, operation, "watched", -1, 0, "Input/output error");
        };
        _medium.SyncGate.Set();
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref failures) == 1, s_deadline));
        Assert.Throws<DurabilityLostException>(_ordered.Flush);
        Assert.Throws<DurabilityLostException>(_ordered.Flush);
        Assert.Throws<DurabilityLostException>(_ordered.Barrier);
        Assert.Throws<DurabilityLostException>(() => _ordered.Write(0, [9], ContentClass.GuestData));
        Assert.Throws<DurabilityLostException>(() => _ordered.SetLength(0));
        Assert.Throws<DurabilityLostException>(() => _ordered.GetCapability<IDeallocatingMedium>()!.TryZeroRange(0, 1));
        byte[] read = new byte[4];
        Assert.Equal(4, _ordered.Read(0, read));
        Assert.Equal([4, 2, 1, 1], read);
        Assert.Equal(8193, _ordered.Length);
        _ordered.Dispose();
        Assert.Equal([1, 1, 1, 1], _medium.Content());
        Assert.Equal(1, failures);
        Assert.Equal(1, _medium.Syncs);
        Assert.True(_medium.IsDisposed);
        Assert.Contains("held back behind a failed sync or write are lost", Assert.Single(_log.Lines), StringComparison.Ordinal);
    }

    [Fact]
    public void Failed_flush_of_writes_that_went_straight_through_is_final()
    {
        _ordered.Write(0, [1], ContentClass.GuestData);
        int calls = 0;
        _medium.Before = operation =>
        {
            if (operation == "fdatasync" && ++calls == 1) throw new StorageException(StorageError.Io, operation, "watched", -1, 0, "Input/output error");
        };
        Assert.Throws<DurabilityLostException>(_ordered.Flush);
        Assert.Throws<DurabilityLostException>(_ordered.Flush);
        Assert.Throws<DurabilityLostException>(() => _ordered.Write(0, [1], ContentClass.GuestData));
        Assert.Equal(1, calls);
        _ordered.Dispose();
    }

    [Fact]
    public void Flush_that_waited_for_a_failing_one_does_not_believe_its_own()
    {
        // Linux tells one of two concurrent fdatasync calls of the loss; the other returns 0.
        _ordered.Write(0, [1], ContentClass.GuestData);
        _medium.SyncGate.Reset();
        int calls = 0;
        _medium.Before = operation =>
        {
            if (operation == "fdatasync" && ++calls == 1) throw new StorageException(StorageError.Io, operation, "watched", -1, 0, "Input/output error");
        };
        Task[] flushes = [.. Enumerable.Range(0, 3).Select(_ => Task.Factory.StartNew(_ordered.Flush, TaskCreationOptions.LongRunning))];
        Assert.True(SpinWait.SpinUntil(() => _medium.Syncs == 1, s_deadline));
        Thread.Sleep(50);
        _medium.SyncGate.Set();
        Assert.All(flushes, flush => Assert.IsType<DurabilityLostException>(Assert.Throws<AggregateException>(() => flush.Wait(s_deadline)).InnerException));
        Assert.Equal(1, calls);
        _ordered.Dispose();
    }

    [Fact]
    public void Writers_that_wait_for_room_are_told()
    {
        using var ordered = (DeferredMedium)Attach.With(_medium, BarrierMode.Deferred, queue: 1 << 20);
        ordered.Write(0, [1], ContentClass.GuestData);
        _medium.SyncGate.Reset();
        ordered.Barrier();
        var writer = Task.Factory.StartNew(() => ordered.Write(0, new byte[4 << 20], ContentClass.GuestData), TaskCreationOptions.LongRunning);
        Assert.True(SpinWait.SpinUntil(() => ordered.HeldBytes == 1 << 20, s_deadline));
        _medium.Before = operation =>
        {
            if (operation == "fdatasync") throw new StorageException(StorageError.Io, operation, "watched", -1, 0, "Input/output error");
        };
        _medium.SyncGate.Set();
        Assert.IsType<DurabilityLostException>(Assert.Throws<AggregateException>(() => writer.Wait(s_deadline)).InnerException);
    }

    [Fact]
    public void Failed_write_that_goes_straight_through_is_the_callers_and_does_not_poison()
    {
        _medium.Before = operation =>
        {
            if (operation == "write") throw new StorageException(StorageError.NoSpace, "write", "watched", 0, 1, "No space left on device");
        };
        Assert.Equal(StorageError.NoSpace, Assert.Throws<StorageException>(() => _ordered.Write(0, [1], ContentClass.GuestData)).Error);
        _medium.Before = null;
        _ordered.Barrier();
        _ordered.Flush();
        _ordered.Dispose();
    }
}
