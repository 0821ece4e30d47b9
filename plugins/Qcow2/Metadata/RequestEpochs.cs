using System.Runtime.InteropServices;

namespace StoragePlugins.Qcow2.Metadata;

/// <summary>
/// Knows when every request that was running at some moment has ended, so that a freed cluster is not reused while a request still
/// holds its old mapping, and so that a control operation can have the disk to itself.
/// </summary>
/// <remarks>
/// Requests are counted by the parity of the epoch in which they began. The epoch moves from E to E + 1 only when no request of E − 1 is
/// left; hence at E + 2 every request that was running at E has ended. Entering and leaving are one interlocked operation each.
/// </remarks>
internal sealed class RequestEpochs
{
    /// <summary>Counters per parity, so that threads rarely share a cache line. More than the threads that run at once on common hosts.</summary>
    private const int Stripes = 16;

    private readonly Counter[] _running = new Counter[2 * Stripes];
    private readonly object _gate = new();
    private volatile bool _quiescing;
    private long _epoch;

    /// <summary>The present epoch; things retired now may be released when <see cref="HasPassed"/> says so.</summary>
    public long Current => Volatile.Read(ref _epoch);

    /// <summary>A request begins. Waits while the disk is quiesced.</summary>
    public Request Enter()
    {
        while (true)
        {
            if (_quiescing) WaitUntilOpen();
            int slot = (int)((Current & 1) * Stripes) + (Environment.CurrentManagedThreadId % Stripes);
            Interlocked.Increment(ref _running[slot].Value);
            if (!_quiescing) return new Request(this, slot);
            Interlocked.Decrement(ref _running[slot].Value);
        }
    }

    /// <summary>Whether everything that ran in <paramref name="epoch"/> has ended; moves the epoch on where it can. Call it under one lock.</summary>
    public bool HasPassed(long epoch)
    {
        while (Current < epoch + 2)
        {
            if (Count((Current + 1) & 1) != 0) return false;
            Interlocked.Increment(ref _epoch);
        }

        return true;
    }

    /// <summary>Keeps new requests and other control operations out and waits for the running ones. The result lets them in again.</summary>
    public Quiesced Quiesce()
    {
        lock (_gate)
        {
            while (_quiescing) Monitor.Wait(_gate);
            _quiescing = true;
        }

        Thread.MemoryBarrier();
        var wait = default(SpinWait);
        while (Count(0) + Count(1) != 0) wait.SpinOnce();
        return new Quiesced(this);
    }

    private void WaitUntilOpen()
    {
        lock (_gate)
        {
            while (_quiescing) Monitor.Wait(_gate);
        }
    }

    private long Count(long parity)
    {
        long sum = 0;
        for (int i = 0; i < Stripes; i++) sum += Interlocked.Read(ref _running[(parity * Stripes) + i].Value);
        return sum;
    }

    /// <summary>A running request; dispose it once, on any thread.</summary>
    public readonly struct Request(RequestEpochs owner, int slot) : IDisposable
    {
        public void Dispose() => Interlocked.Decrement(ref owner._running[slot].Value);
    }

    /// <summary>A quiesced disk; dispose it once.</summary>
    public readonly struct Quiesced(RequestEpochs owner) : IDisposable
    {
        public void Dispose()
        {
            lock (owner._gate)
            {
                owner._quiescing = false;
                Monitor.PulseAll(owner._gate);
            }
        }
    }

    /// <summary>A counter on a cache line pair of its own (128 bytes: the adjacent-line prefetcher pairs lines).</summary>
    [StructLayout(LayoutKind.Explicit, Size = 128)]
    private struct Counter
    {
        [FieldOffset(0)] public long Value;
    }
}
