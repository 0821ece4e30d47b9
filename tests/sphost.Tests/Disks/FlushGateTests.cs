using System.Collections.Concurrent;
using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Tests.Exports;

namespace StoragePlugins.Host.Tests.Disks;

public class FlushGateTests
{
    private static readonly StorageException s_full = new(StorageError.NoSpace, "commit", "disk", -1, 0, "No space left on device");
    private static readonly DurabilityLostException s_lost = new("fdatasync", "disk", "Input/output error");

    [Fact]
    public void The_first_flush_after_open_always_runs()
    {
        var disk = new MemoryDisk();
        using var served = new ServedDisk("disk", disk, new StorageMeter());
        served.Flush();
        Assert.Equal(1, disk.Flushes);
    }

    [Fact]
    public void A_flush_with_nothing_written_since_the_last_one_returns_at_once()
    {
        var disk = new MemoryDisk();
        using var served = new ServedDisk("disk", disk, new StorageMeter());
        served.Flush();
        served.Flush();
        Assert.Equal(1, disk.Flushes);
        served.Write(0, [1]);
        served.Flush();
        Assert.Equal(2, disk.Flushes);
        Assert.True(served.TryWrite(0, [1]));
        served.Flush();
        Assert.Equal(3, disk.Flushes);
        served.WriteZeroes(0, 1, mayUnmap: true);
        served.Flush();
        Assert.Equal(4, disk.Flushes);
        served.Discard(0, 1);
        served.Flush();
        Assert.Equal(5, disk.Flushes);
    }

    [Fact]
    public void Flushes_that_arrive_during_a_flush_share_the_next_one()
    {
        using var run = new GatedFlushes();
        run.WriteAndFlush();
        run.AwaitRunning(1);
        for (int i = 0; i < 50; i++) run.WriteAndFlush();
        run.LetOneEnd();
        run.AwaitRunning(2);
        run.LetOneEnd();
        Assert.Equal(51, run.AwaitAll().Count(failure => failure is null));
        Assert.Equal(2, run.Started);
    }

    [Fact]
    public void A_flush_does_not_count_for_a_write_that_completed_after_it_began()
    {
        using var run = new GatedFlushes();
        run.WriteAndFlush();
        run.AwaitRunning(1);
        run.WriteAndFlush();
        run.LetOneEnd();
        run.AwaitRunning(2);
        Assert.Equal(1, run.Answered);
        run.LetOneEnd();
        run.AwaitAll();
    }

    [Fact]
    public void A_write_that_completed_while_a_flush_ran_is_not_taken_for_durable_when_that_ends()
    {
        using var run = new GatedFlushes();
        run.WriteAndFlush();
        run.AwaitRunning(1);
        run.Write();
        run.LetOneEnd();
        run.AwaitAll();
        run.Flush();
        run.AwaitRunning(2);
        run.LetOneEnd();
        run.AwaitAll();
    }

    [Fact]
    public void A_flush_joins_a_running_one_when_nothing_was_written_since_that_began()
    {
        using var run = new GatedFlushes();
        run.WriteAndFlush();
        run.AwaitRunning(1);
        run.Flush();
        run.LetOneEnd();
        run.AwaitAll();
        Assert.Equal(1, run.Started);
    }

    [Fact]
    public void A_failed_commit_fails_all_that_shared_it_and_the_next_flush_tries_again()
    {
        using var run = new GatedFlushes();
        run.WriteAndFlush();
        run.AwaitRunning(1);
        run.Flush();
        run.Failure = s_full;
        run.LetOneEnd();
        Assert.All(run.AwaitAll(), failure => Assert.Same(s_full, failure));

        run.Failure = null;
        run.Flush();
        run.AwaitRunning(2);
        run.LetOneEnd();
        Assert.Equal(1, run.AwaitAll().Count(failure => failure is null));
    }

    [Fact]
    public void A_failed_sync_is_never_tried_again()
    {
        using var run = new GatedFlushes();
        run.WriteAndFlush();
        run.AwaitRunning(1);
        run.WriteAndFlush();
        run.Failure = s_lost;
        run.LetOneEnd();
        Assert.All(run.AwaitAll(), failure => Assert.Same(s_lost, failure));
        run.Failure = null;
        run.WriteAndFlush();
        Assert.Equal(3, run.AwaitAll().Count(failure => failure is DurabilityLostException));
        Assert.Equal(1, run.Started);
    }

    [Fact]
    public void A_flush_that_fails_for_an_unknown_reason_may_have_lost_a_sync_and_poisons()
    {
        var disk = new MemoryDisk { FlushFailure = () => new InvalidOperationException("a bug") };
        using var served = new ServedDisk("disk", disk, new StorageMeter());
        Assert.Throws<DurabilityLostException>(served.Flush);
        disk.FlushFailure = () => null;
        Assert.Throws<DurabilityLostException>(served.Flush);
        Assert.Equal(1, disk.Flushes);
    }

    [Fact]
    public void Many_threads_that_write_and_flush_never_overlap_inner_flushes_and_all_succeed()
    {
        var disk = new MemoryDisk();
        using var served = new ServedDisk("disk", disk, new StorageMeter());
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, thread =>
        {
            for (int i = 0; i < 500; i++) served.Write(thread, [(byte)i], WriteFlags.ForceUnitAccess);
        });
        Assert.Equal(1, disk.LargestFlushOverlap);
        Assert.InRange(disk.Flushes, 500, 4000);
        Assert.Equal(4000, served.Meter.Read().GuestFlushes);
    }

    [Fact]
    public void Losing_durability_in_a_write_poisons_flushes_too()
    {
        var disk = new MemoryDisk { WriteFailure = () => s_lost };
        using var served = new ServedDisk("disk", disk, new StorageMeter());
        Assert.Throws<DurabilityLostException>(() => served.Write(0, [1]));
        disk.WriteFailure = () => null;
        Assert.Throws<DurabilityLostException>(() => served.Write(0, [1]));
        Assert.Throws<DurabilityLostException>(served.Flush);
        Assert.False(served.TryWrite(0, [1]));
        Assert.Equal(0, disk.Flushes);
        served.Read(0, new byte[1]);
    }

    [Fact]
    public void Who_waits_for_its_flush_runs_it_itself_while_nobody_else_does()
    {
        var ranOn = new ConcurrentQueue<int>();
        using var gate = new FlushGate("disk", () => ranOn.Enqueue(Environment.CurrentManagedThreadId));
        gate.Flush();
        gate.CountWrite();
        gate.Flush();
        Assert.Equal([Environment.CurrentManagedThreadId, Environment.CurrentManagedThreadId], ranOn);
        var answers = new ConcurrentQueue<StorageException?>();
        gate.CountWrite();
        gate.Submit(new Ticket(answers));
        NbdTestServer.Eventually(() => answers.Count == 1, "the flush is answered");
        Assert.NotEqual(Environment.CurrentManagedThreadId, ranOn.Last());
    }

    [Fact]
    public void A_flush_that_somebody_runs_for_itself_is_shared_held_and_waited_for_like_any_other()
    {
        using var run = new GatedFlushes();
        run.Write();
        Task own = Task.Run(run.FlushAndWait);
        run.AwaitRunning(1);
        run.Flush();
        run.WriteAndFlush();
        Assert.False(run.WaitUntilIdle(TimeSpan.FromMilliseconds(20)));
        Assert.False(run.Hold(TimeSpan.FromMilliseconds(20)));
        Assert.Equal(1, run.Started);
        run.LetOneEnd();
        Assert.True(own.Wait(10_000));
        run.AwaitRunning(2);
        Assert.Equal(1, run.Answered);
        run.LetOneEnd();
        run.AwaitAll();
        Assert.True(run.Hold(TimeSpan.FromSeconds(10)));
        run.Write();
        own = Task.Run(run.FlushAndWait);
        Assert.False(own.Wait(20));
        Assert.Equal(2, run.Started);
        run.Release();
        run.AwaitRunning(3);
        run.LetOneEnd();
        Assert.True(own.Wait(10_000));
    }

    [Fact]
    public void A_sync_that_failed_for_one_who_ran_it_itself_is_never_tried_again()
    {
        using var run = new GatedFlushes { Failure = s_lost };
        run.Write();
        run.LetOneEnd();
        Assert.Same(s_lost, Assert.Throws<DurabilityLostException>(run.FlushAndWait));
        run.Failure = null;
        Assert.Throws<DurabilityLostException>(run.FlushAndWait);
        Assert.Equal(1, run.Started);
    }

    /// <summary>A gate over a flush that ends when it is told to.</summary>
    private sealed class GatedFlushes : IDisposable
    {
        private readonly FlushGate _gate;
        private readonly SemaphoreSlim _mayEnd = new(0);
        private readonly ConcurrentQueue<StorageException?> _answers = new();
        private int _asked, _started;

        public GatedFlushes() => _gate = new FlushGate("disk", Run);

        public StorageException? Failure { get; set; }

        public int Started => Volatile.Read(ref _started);

        public int Answered => _answers.Count;

        public void Write() => _gate.CountWrite();

        public void WriteAndFlush()
        {
            Write();
            Flush();
        }

        public void Flush()
        {
            _asked++;
            _gate.Submit(new Ticket(_answers));
        }

        public void FlushAndWait() => _gate.Flush();

        public bool WaitUntilIdle(TimeSpan timeout) => _gate.WaitUntilIdle(timeout);

        public bool Hold(TimeSpan timeout) => _gate.Hold(timeout);

        public void Release() => _gate.Release();

        public void AwaitRunning(int number) => NbdTestServer.Eventually(() => Started == number, $"flush {number} runs");

        public void LetOneEnd() => _mayEnd.Release();

        public IEnumerable<StorageException?> AwaitAll()
        {
            NbdTestServer.Eventually(() => Answered == _asked, "all flushes are answered");
            return _answers;
        }

        public void Dispose()
        {
            _mayEnd.Release(100);
            _gate.Dispose();
        }

        private void Run()
        {
            Interlocked.Increment(ref _started);
            _mayEnd.Wait();
            if (Failure is not null) throw Failure;
        }

    }

    private sealed class Ticket(ConcurrentQueue<StorageException?> answers) : FlushTicket
    {
        public override void Flushed(StorageException? failure) => answers.Enqueue(failure);
    }
}
