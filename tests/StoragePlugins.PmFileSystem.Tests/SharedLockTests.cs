using StoragePlugins.PmFileSystem.Nodes;

namespace StoragePlugins.PmFileSystem.Tests;

/// <summary>The lock of inodes and lanes: a writer is alone, and comes to its turn.</summary>
public sealed class SharedLockTests
{
    private const int Threads = 4;
    private const int Rounds = 20_000;

    [Fact]
    public void Writers_lose_no_step_of_one_another_and_readers_see_no_half_step()
    {
        var gate = new SharedLock();
        long first = 0, second = 0, torn = 0;
        Together(thread =>
        {
            for (int i = 0; i < Rounds; i++)
            {
                if (thread % 2 == 0)
                {
                    gate.EnterWrite();
                    first++;
                    second++;
                    gate.ExitWrite();
                }
                else
                {
                    gate.EnterRead();
                    if (first != second) Interlocked.Increment(ref torn);
                    gate.ExitRead();
                }
            }
        });
        Assert.Equal((Threads / 2L * Rounds, Threads / 2L * Rounds, 0L), (first, second, torn));
    }

    [Fact]
    public void A_writer_comes_in_although_readers_never_leave_the_lock_empty()
    {
        var gate = new SharedLock();
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        using var hasWritten = new CancellationTokenSource();
        Together(thread =>
        {
            if (thread == 0)
            {
                for (int i = 0; i < 100; i++)
                {
                    gate.EnterWrite();
                    gate.ExitWrite();
                }

                hasWritten.Cancel();
                return;
            }

            while (!hasWritten.IsCancellationRequested && !stop.IsCancellationRequested)
            {
                gate.EnterRead();
                Thread.Yield();
                gate.ExitRead();
            }
        });
        Assert.False(stop.IsCancellationRequested, "the writer waited for more than 30 s");
    }

    [Fact]
    public void After_the_last_writer_readers_do_not_wait_for_one()
    {
        var gate = new SharedLock();
        Together(_ =>
        {
            for (int i = 0; i < Rounds; i++)
            {
                gate.EnterWrite();
                gate.ExitWrite();
            }
        });
        var reader = new Thread(gate.EnterRead) { IsBackground = true };
        reader.Start();
        Assert.True(reader.Join(TimeSpan.FromSeconds(30)), "a reader waits, though nobody writes or wants to");
    }

    private static void Together(Action<int> work)
    {
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(i => new Thread(() => work(i)))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
    }
}
