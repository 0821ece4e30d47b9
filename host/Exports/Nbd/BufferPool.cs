using System.Numerics;

namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>
/// The request buffers of a server: reused, and bounded so that no client can exhaust memory or starve the small requests of others.
/// </summary>
/// <remarks>
/// Every connection has a reserve of <see cref="ReserveBytes"/> that nobody else can take; what does not fit goes to a budget shared by all,
/// and waits there when it is used up. Thread-safe; only connection threads rent (and wait), anyone returns.
/// </remarks>
internal sealed class BufferPool
{
    /// <summary>Bytes that each connection may always have: 128 requests of 4 KiB with their header pages.</summary>
    public const int ReserveBytes = 1024 * 1024;

    // Classes are powers of two from a page to the largest payload.
    private const int SmallestShift = 12;
    private const int LargestShift = 25;

    // What is kept for reuse; enough for a guest's 1 MiB streams at depth 16.
    private const long MaxRetainedBytes = 32L * 1024 * 1024;

    private readonly object _lock = new();
    private readonly long _sharedLimit;
    private readonly Stack<RequestBuffer>[] _free = new Stack<RequestBuffer>[LargestShift - SmallestShift + 1];
    private long _retained, _shared, _rents, _rentsAtTrim;
    private int _waiters;

    /// <param name="sharedLimit">The budget beyond the reserves, in bytes; at least one largest buffer.</param>
    public BufferPool(long sharedLimit)
    {
        _sharedLimit = Math.Max(sharedLimit, Cost(NbdProtocol.MaxPayloadBytes));
        for (int i = 0; i < _free.Length; i++) _free[i] = new Stack<RequestBuffer>();
    }

    /// <summary>Bytes of the shared budget in use.</summary>
    public long SharedBytes => Volatile.Read(ref _shared);

    /// <summary>Whether an account holds shared bytes while another one waits for some.</summary>
    public bool IsStarvingOthers(BufferAccount account)
    {
        lock (_lock) return account.Shared > 0 && _waiters > (account.IsWaiting ? 1 : 0);
    }

    /// <summary>Takes a buffer for a payload of <paramref name="length"/> bytes; waits while the budget is used up.</summary>
    /// <param name="account">Whose it is.</param>
    /// <param name="length">Bytes, at most <see cref="NbdProtocol.MaxPayloadBytes"/>.</param>
    /// <returns><see langword="null"/> when the account was closed while waiting, or the host has no memory.</returns>
    public RequestBuffer? Rent(BufferAccount account, int length) => Rent(account, length, wait: true);

    /// <summary>As <see cref="Rent(BufferAccount, int)"/>, and <see langword="null"/> when it would have to wait.</summary>
    public RequestBuffer? TryRent(BufferAccount account, int length) => Rent(account, length, wait: false);

    /// <summary>Gives a buffer back.</summary>
    public void Return(BufferAccount account, RequestBuffer buffer)
    {
        long cost = Cost(buffer.Capacity);
        bool keep;
        lock (_lock)
        {
            Refund(account, cost);
            keep = _retained + cost <= MaxRetainedBytes;
            if (keep)
            {
                _retained += cost;
                _free[ShiftFor(buffer.Capacity) - SmallestShift].Push(buffer);
            }
        }

        if (!keep) buffer.Free();
    }

    /// <summary>Wakes the account's connection if it waits; it gets nothing any more.</summary>
    public void Close(BufferAccount account)
    {
        lock (_lock)
        {
            account.IsClosed = true;
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Frees what is kept for reuse when nothing was rented since the last call.</summary>
    public void TrimIfIdle()
    {
        lock (_lock)
        {
            bool idle = _rents == _rentsAtTrim;
            _rentsAtTrim = _rents;
            if (!idle || _retained == 0) return;
            FreeRetained();
        }
    }

    /// <summary>Frees what is kept for reuse.</summary>
    public void Clear()
    {
        lock (_lock) FreeRetained();
    }

    private void FreeRetained()
    {
        foreach (Stack<RequestBuffer> stack in _free)
        {
            while (stack.TryPop(out RequestBuffer? buffer)) buffer.Free();
        }

        _retained = 0;
    }

    private RequestBuffer? Rent(BufferAccount account, int length, bool wait)
    {
        int shift = ShiftFor(length);
        long cost = Cost(1 << shift);
        lock (_lock)
        {
            _rents++;
            if (!Charge(account, cost) && !(wait && WaitAndCharge(account, cost))) return null;
            if (_free[shift - SmallestShift].TryPop(out RequestBuffer? buffer))
            {
                _retained -= cost;
                return buffer;
            }
        }

        try
        {
            return new RequestBuffer(1 << shift);
        }
        catch (OutOfMemoryException)
        {
            lock (_lock) Refund(account, cost);
            return null;
        }
    }

    // The shared budget is what others wait for: it is paid back first.
    private void Refund(BufferAccount account, long cost)
    {
        long toShared = Math.Min(account.Shared, cost);
        account.Shared -= toShared;
        account.Reserved -= cost - toShared;
        _shared -= toShared;
        if (_waiters > 0) Monitor.PulseAll(_lock);
    }

    private bool Charge(BufferAccount account, long cost)
    {
        if (account.Reserved + cost <= ReserveBytes)
        {
            account.Reserved += cost;
            return true;
        }

        if (_shared + cost > _sharedLimit) return false;
        _shared += cost;
        account.Shared += cost;
        return true;
    }

    private bool WaitAndCharge(BufferAccount account, long cost)
    {
        _waiters++;
        account.IsWaiting = true;
        try
        {
            while (!account.IsClosed)
            {
                Monitor.Wait(_lock);
                if (Charge(account, cost)) return true;
            }

            return false;
        }
        finally
        {
            account.IsWaiting = false;
            _waiters--;
        }
    }

    private static int ShiftFor(int length) => Math.Max(SmallestShift, BitOperations.Log2((uint)Math.Max(length, 1) - 1) + 1);

    private static long Cost(int capacity) => RequestBuffer.HeaderRoom + capacity;
}

/// <summary>What one connection holds of a <see cref="BufferPool"/>; guarded by the pool.</summary>
internal sealed class BufferAccount
{
    /// <summary>Bytes of its own reserve.</summary>
    public long Reserved { get; set; }

    /// <summary>Bytes of the shared budget.</summary>
    public long Shared { get; set; }

    /// <summary>Its connection waits for the shared budget.</summary>
    public bool IsWaiting { get; set; }

    /// <summary>No buffers any more.</summary>
    public bool IsClosed { get; set; }
}
