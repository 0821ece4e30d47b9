namespace StoragePlugins.BarrierFS.Deferred;

// The driver: carries the queue out and syncs. Everything here but the thread's own loop is called under the gate, which is let go of during I/O.
internal sealed partial class DeferredMedium
{
    private void SyncUpTo(long changes)
    {
        while (_synced < changes)
        {
            _poison.ThrowIfSet();
            if (_isDriven || !_queue.IsEmpty)
            {
                DriveOrWait(0);
                continue;
            }

            _isDriven = true;
            Sync();
            EndDriving();
        }
    }

    private void DriveUpTo(long ticket)
    {
        while (_queue.RetiredTicket < ticket)
        {
            _poison.ThrowIfSet();
            DriveOrWait(ticket);
        }
    }

    /// <summary>One step at least, and on up to a ticket; or waits for what the present driver does.</summary>
    private void DriveOrWait(long ticket)
    {
        if (_isDriven)
        {
            Wait();
            return;
        }

        _isDriven = true;
        do Step();
        while (!_poison.IsSet && _queue.Head is { } head && head.Ticket <= ticket);
        EndDriving();
    }

    private void EndDriving()
    {
        _isDriven = false;
        WakeWaiting();
        if (!_queue.IsEmpty && !_poison.IsSet) WakeThread();
    }

    private void Step()
    {
        HeldOperation entry = _queue.Head!;
        if (entry.Kind == HeldKind.EpochEnd)
        {
            // Writes that went past the queue before the epoch was closed belong to it.
            while (_inFlight > 0) Wait();
            if (_synced < _changes) Sync();
        }
        else
        {
            entry.IsStarted = true;
            CarryOut(entry);
        }

        if (_poison.IsSet) return;
        _queue.Retire();
        WakeWaiting();
    }

    private void CarryOut(HeldOperation entry)
    {
        Monitor.Exit(_gate);
        try
        {
            if (entry.Kind == HeldKind.Write) _medium.Write(entry.Offset, entry.Bytes, entry.Content);
            else entry.Result = Perform(entry.Kind, entry.Offset, entry.Length);
        }
        catch (Exception e)
        {
            // A write's caller was told that it is done: it cannot fail any more without losing order. The others wait for their answer.
            if (entry.Kind == HeldKind.Write) _poison.Set("write held back behind a barrier", e);
            else entry.Error = e;
        }
        finally
        {
            Monitor.Enter(_gate);
        }

        _changes++;
    }

    private void Sync()
    {
        long covered = _changes;
        Monitor.Exit(_gate);
        try
        {
            _flushable.FlushData();
        }
        catch (Exception e)
        {
            _poison.Set("fdatasync", e);
        }
        finally
        {
            Monitor.Enter(_gate);
        }

        if (!_poison.IsSet) _synced = covered;
    }

    private void Wait()
    {
        _waiting++;
        Monitor.Wait(_gate);
        _waiting--;
    }

    private void WakeWaiting()
    {
        if (_waiting > 0) Monitor.PulseAll(_gate);
    }

    private void StartThread()
    {
        if (_thread is not null) return;
        _thread = new Thread(DriveInBackground) { IsBackground = true, Name = "barrierfs" };
        _thread.Start();
    }

    private void WakeThread()
    {
        if (_isWoken) return;
        _isWoken = true;
        _work.Set();
    }

    private void DriveInBackground()
    {
        while (true)
        {
            _work.WaitOne();
            Thread.Sleep(LingerMilliseconds);
            lock (_gate)
            {
                if (_isStopping) return;
                _isWoken = false;
                // A driver that is at it wakes this thread again when it leaves anything.
                if (!_isDriven && !_queue.IsEmpty && !_poison.IsSet) DriveOrWait(long.MaxValue);
            }
        }
    }
}
