namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>The requests of one connection that may be in flight; reused, bounded. Only the connection's thread takes and waits.</summary>
internal sealed class RequestSlots
{
    private readonly object _lock = new();
    private readonly NbdTransmission _transmission;
    private readonly int _limit;
    private PendingQueue _free;
    private int _created;
    private int _inFlight;

    /// <param name="transmission">Whose requests they are.</param>
    /// <param name="limit">At most so many in flight.</param>
    public RequestSlots(NbdTransmission transmission, int limit)
    {
        _transmission = transmission;
        _limit = limit;
    }

    /// <summary>Takes a request object; <see langword="null"/> when all are in flight.</summary>
    public PendingRequest? TryTake()
    {
        lock (_lock)
        {
            PendingRequest? request = _free.Dequeue();
            if (request is null && _created < _limit)
            {
                request = new PendingRequest(_transmission);
                _created++;
            }

            if (request is not null) _inFlight++;
            return request;
        }
    }

    /// <summary>Takes a request object, waiting until one is free. Replies leave by other threads meanwhile.</summary>
    public PendingRequest Take()
    {
        lock (_lock)
        {
            while (_inFlight == _limit) Monitor.Wait(_lock);
            return TryTake()!;
        }
    }

    /// <summary>Gives one back. Any thread.</summary>
    public void Return(PendingRequest request)
    {
        lock (_lock)
        {
            _free.Enqueue(request);
            _inFlight--;
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Waits until none is in flight.</summary>
    public void WaitUntilAllReturned()
    {
        lock (_lock)
        {
            while (_inFlight > 0) Monitor.Wait(_lock);
        }
    }
}
