using System.Diagnostics;
using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Disks;

/// <summary>
/// A disk as exports use it: checks ranges, counts guest requests, shares flushes, and keeps a poisoned disk from promising anything.
/// </summary>
/// <remarks>
/// <para>One object per disk, shared by all exports and connections; that is what makes a flush on one connection cover the others.</para>
/// <para>FUA is a plain write of the inner disk followed by the shared flush, so that FUA writes of many connections share flushes.</para>
/// <para>Once the inner disk has lost durability (<see cref="DurabilityLostException"/> from any call), every later flush and write fails
/// with it without reaching the inner disk; reads go on.</para>
/// </remarks>
internal sealed class ServedDisk : IVirtualDisk, INonBlockingDisk, IDiscardDisk, IZeroingDisk, IExtentDisk, IBarrierDisk
{
    // Zeros for disks that cannot zero by themselves: large enough to amortize a call, small enough to keep.
    private const int ZeroChunkBytes = 256 * 1024;
    private static readonly byte[] s_zeros = new byte[ZeroChunkBytes];

    private const long NeverOrdered = -1;

    // A plugin with a bug can fail at each request; what is the matter is clear after a few.
    private const int MaxFailuresTold = 10;

    private readonly AdmissionGate _admission = new();
    private readonly FlushGate _flushGate;
    private readonly ILogger? _logger;
    private int _failuresTold;
    private int _connections;

    // The generation of the flush gate that a barrier has ordered before everything that began after it; none before the first.
    private long _ordered = NeverOrdered;

    // Changed only while no request is inside.
    private volatile InnerDisk _inner;

    /// <summary>Wraps a disk.</summary>
    /// <param name="name">For messages and threads.</param>
    /// <param name="inner">Disposed with this object.</param>
    /// <param name="meter">Receives the guest's figures.</param>
    /// <param name="logger">Is told of strategies that fail outside their contract; null for nobody.</param>
    public ServedDisk(string name, IVirtualDisk inner, StorageMeter meter, ILogger? logger = null)
    {
        _logger = logger;
        Name = name;
        Meter = meter;
        _inner = new InnerDisk(inner);
        _flushGate = new FlushGate(name, FlushInner);
    }

    /// <summary>For messages.</summary>
    public string Name { get; }

    /// <summary>What the guest asked for and what it cost.</summary>
    public StorageMeter Meter { get; }

    /// <summary>How long requests took, from their arrival at the export to their reply; recorded by the exports.</summary>
    public RequestLatencies Latency { get; } = new();

    /// <summary>Requests inside the disk now, flushes that wait for one another included.</summary>
    public int ActiveRequests => _admission.Inside + _flushGate.Waiting;

    /// <summary>Connections that use the disk now.</summary>
    public int Connections => Volatile.Read(ref _connections);

    /// <inheritdoc/>
    public long Length => _inner.Disk.Length;

    /// <inheritdoc/>
    public bool IsReadOnly => _inner.Disk.IsReadOnly;

    /// <inheritdoc/>
    public int PreferredBlockSize => _inner.Disk.PreferredBlockSize;

    /// <summary>Whether <see cref="TryRead"/> and <see cref="TryWrite"/> can ever succeed.</summary>
    public bool IsNonBlocking => _inner.NonBlocking is not null;

    /// <summary>Whether <see cref="Discard"/> does anything.</summary>
    public bool CanDiscard => _inner.Discard is not null;

    /// <summary>Whether the guest may ask for order without durability: the disk can be written, and its format can order.</summary>
    public bool CanOrder => !IsReadOnly && _inner.Barrier is not null;

    /// <summary>Why durability is lost; <see langword="null"/> while it is not.</summary>
    public DurabilityLostException? Poison => _flushGate.Poison;

    /// <summary>Whether a range lies inside the disk.</summary>
    public bool Contains(long offset, long length) => offset >= 0 && length >= 0 && offset <= Length - length;

    /// <inheritdoc/>
    public T? GetCapability<T>() where T : class
    {
        bool offered =
            typeof(T) == typeof(INonBlockingDisk) ? _inner.NonBlocking is not null :
            typeof(T) == typeof(IDiscardDisk) ? _inner.Discard is not null :
            typeof(T) == typeof(IExtentDisk) ? _inner.Extents is not null :
            typeof(T) == typeof(IBarrierDisk) ? _inner.Barrier is not null :
            typeof(T) == typeof(IZeroingDisk);
        return offered ? (T)(object)this : null;
    }

    /// <inheritdoc/>
    public bool TryRead(long offset, Span<byte> buffer)
    {
        if (!Contains(offset, buffer.Length) || !_admission.TryEnter()) return false;
        try
        {
            if (_inner.NonBlocking?.TryRead(offset, buffer) is not true) return false;
        }
        catch (Exception failure) when (failure is DurabilityLostException or not StorageException)
        {
            throw Failed("read", failure, offset, buffer.Length, mayHaveChanged: false);
        }
        finally
        {
            _admission.Leave();
        }

        Meter.CountGuestRead(buffer.Length);
        return true;
    }

    /// <inheritdoc/>
    public bool TryWrite(long offset, ReadOnlySpan<byte> data)
    {
        if (IsReadOnly || Poison is not null || !Contains(offset, data.Length) || !_admission.TryEnter()) return false;
        bool written = true;
        try
        {
            written = _inner.NonBlocking?.TryWrite(offset, data) ?? false;
            if (!written) return false;
        }
        catch (Exception failure) when (failure is DurabilityLostException or not StorageException)
        {
            throw Failed("write", failure, offset, data.Length, mayHaveChanged: true);
        }
        finally
        {
            // A write that threw may have changed something: it counts.
            if (written) _flushGate.CountWrite();
            _admission.Leave();
        }

        Meter.CountGuestWrite(data.Length);
        return true;
    }

    /// <inheritdoc/>
    public void Read(long offset, Span<byte> buffer)
    {
        Enter("read", offset, buffer.Length);
        try
        {
            if (buffer.Length > 0) _inner.Disk.Read(offset, buffer);
        }
        catch (Exception failure) when (failure is DurabilityLostException or not StorageException)
        {
            throw Failed("read", failure, offset, buffer.Length, mayHaveChanged: false);
        }
        finally
        {
            _admission.Leave();
        }

        Meter.CountGuestRead(buffer.Length);
    }

    /// <inheritdoc/>
    public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags = WriteFlags.None)
    {
        EnterToWrite("write", offset, data.Length);
        try
        {
            if (data.Length > 0) _inner.Disk.Write(offset, data);
        }
        catch (Exception failure) when (failure is DurabilityLostException or not StorageException)
        {
            throw Failed("write", failure, offset, data.Length, mayHaveChanged: true);
        }
        finally
        {
            _flushGate.CountWrite();
            _admission.Leave();
        }

        Meter.CountGuestWrite(data.Length);
        FlushIfForced(flags);
    }

    /// <inheritdoc/>
    /// <remarks>Does nothing when the inner disk has no such ability: a discard is a hint.</remarks>
    public void Discard(long offset, long length, WriteFlags flags = WriteFlags.None)
    {
        EnterToWrite("discard", offset, length);
        try
        {
            if (length > 0) _inner.Discard?.Discard(offset, length);
        }
        catch (Exception failure) when (failure is DurabilityLostException or not StorageException)
        {
            throw Failed("discard", failure, offset, length, mayHaveChanged: true);
        }
        finally
        {
            _flushGate.CountWrite();
            _admission.Leave();
        }

        Meter.CountGuestDiscard(length);
        FlushIfForced(flags);
    }

    /// <inheritdoc/>
    /// <remarks>Writes zeros when the inner disk has no such ability.</remarks>
    public void WriteZeroes(long offset, long length, bool mayUnmap, WriteFlags flags = WriteFlags.None)
    {
        EnterToWrite("write zeroes", offset, length);
        try
        {
            if (length > 0 && _inner.Zeroing is { } zeroing) zeroing.WriteZeroes(offset, length, mayUnmap);
            else WriteZeroBytes(offset, length);
        }
        catch (Exception failure) when (failure is DurabilityLostException or not StorageException)
        {
            throw Failed("write zeroes", failure, offset, length, mayHaveChanged: true);
        }
        finally
        {
            _flushGate.CountWrite();
            _admission.Leave();
        }

        Meter.CountGuestZeroing(length);
        FlushIfForced(flags);
    }

    /// <inheritdoc/>
    public bool IsZeroingFast(long offset, long length)
    {
        if (!Contains(offset, length) || !_admission.TryEnter()) return false;
        try
        {
            return _inner.Zeroing?.IsZeroingFast(offset, length) is true;
        }
        finally
        {
            _admission.Leave();
        }
    }

    /// <inheritdoc/>
    /// <remarks>All is data when the inner disk has no such ability.</remarks>
    public int DescribeExtents(long offset, long length, Span<DiskExtent> extents)
    {
        Enter("describe", offset, length);
        try
        {
            if (_inner.Extents is { } describing) return describing.DescribeExtents(offset, length, extents);
            extents[0] = new DiskExtent(length, ExtentFlags.None, Depth: 1);
            return 1;
        }
        catch (Exception failure) when (failure is DurabilityLostException or not StorageException)
        {
            throw Failed("describe", failure, offset, length, mayHaveChanged: false);
        }
        finally
        {
            _admission.Leave();
        }
    }

    /// <inheritdoc/>
    /// <remarks>
    /// <para>Thread-safe, and in no way tied to flushes: neither waits for the other here, and the inner disk orders the two. Waits while the disk is held.</para>
    /// <para>Costs nothing when every write that returned before is ordered or durable already. That is so when a barrier or a flush which began after them
    /// has ended, and what begins after this call begins after that one too. The first barrier always runs, as the first flush does.</para>
    /// </remarks>
    /// <exception cref="StorageException"><see cref="StorageError.NotSupported"/>: the inner disk cannot order.</exception>
    public void Barrier()
    {
        EnterToWrite("barrier", 0, 0);
        try
        {
            IBarrierDisk inner = _inner.Barrier ?? throw new StorageException(StorageError.NotSupported, "barrier", Name, -1, 0, "its format cannot order without a flush");
            // Before the call: what is counted during it may have come too late.
            long written = _flushGate.Written;
            if (Math.Max(Volatile.Read(ref _ordered), _flushGate.Durable) < written)
            {
                inner.Barrier();
                Raise(ref _ordered, written);
            }
        }
        catch (Exception failure) when (failure is DurabilityLostException or not StorageException)
        {
            throw Failed("barrier", failure, -1, 0, mayHaveChanged: true);
        }
        finally
        {
            _admission.Leave();
        }

        Meter.CountGuestBarrier();
    }

    /// <inheritdoc/>
    public void Flush()
    {
        if (IsReadOnly) return;
        Enter("flush", 0, 0);
        try
        {
            _flushGate.Flush();
        }
        finally
        {
            _admission.Leave();
        }

        Meter.CountGuestFlush();
    }

    /// <summary>A flush that does not take a thread: the ticket is answered when all writes completed so far are durable.</summary>
    /// <remarks>Never blocks and never throws. <see cref="FlushTicket.Flushed"/> may be called before this returns. The caller counts the guest
    /// flush (<see cref="CountFlush"/>) when it answers.</remarks>
    public void SubmitFlush(FlushTicket ticket)
    {
        if (IsReadOnly) ticket.Flushed(null);
        else if (_admission.TryEnter())
        {
            _flushGate.Submit(ticket);
            _admission.Leave();
        }
        else if (_admission.IsClosed) ticket.Flushed(Closing("flush", -1, 0));
        else _flushGate.Submit(ticket); // held: it waits in the flush gate, which is held as well
    }

    /// <summary>A connection begins (1) or ends (−1) to use the disk.</summary>
    public void CountConnection(int change) => Interlocked.Add(ref _connections, change);

    /// <summary>One flush or FUA taken through <see cref="SubmitFlush"/> was answered.</summary>
    public void CountFlush() => Meter.CountGuestFlush();

    /// <summary>Refuses new requests with <see cref="StorageError.ShuttingDown"/> and waits for the running ones. For good.</summary>
    /// <returns>False when requests were still running after <paramref name="timeout"/>.</returns>
    public bool Quiesce(TimeSpan timeout)
    {
        long start = Stopwatch.GetTimestamp();
        return _admission.CloseAndWait(timeout) && _flushGate.WaitUntilIdle(timeout - Stopwatch.GetElapsedTime(start));
    }

    /// <summary>Lets requests and flushes that come wait, and waits for the running ones. Until <see cref="Release"/>.</summary>
    /// <returns>False, and nothing is held, when something still ran after <paramref name="timeout"/>.</returns>
    public bool Hold(TimeSpan timeout)
    {
        long start = Stopwatch.GetTimestamp();
        if (!_admission.Hold(timeout)) return false;
        if (_flushGate.Hold(timeout - Stopwatch.GetElapsedTime(start))) return true;
        _admission.Release();
        return false;
    }

    /// <summary>Lets go of the inner disk. While held; a <see cref="Replace"/> must follow.</summary>
    public void Detach() => _inner.Disk.Dispose();

    /// <summary>Puts another disk of the same length in the place of the one that was let go of. While held.</summary>
    public void Replace(IVirtualDisk inner) => _inner = new InnerDisk(inner);

    /// <summary>Nothing is promised any more: every later write and flush fails.</summary>
    public void SetPoison(DurabilityLostException failure) => _flushGate.SetPoison(failure);

    /// <summary>Ends a hold.</summary>
    public void Release()
    {
        _flushGate.Release();
        _admission.Release();
    }

    /// <summary>Answers the flushes that wait, ends the flush thread, disposes the inner disk. After <see cref="Quiesce"/>.</summary>
    public void Dispose()
    {
        _flushGate.Dispose();
        _inner.Disk.Dispose();
    }

    private static void Raise(ref long generation, long to)
    {
        for (long seen = Volatile.Read(ref generation); seen < to;)
        {
            long found = Interlocked.CompareExchange(ref generation, to, seen);
            if (found == seen) return;
            seen = found;
        }
    }

    private void WriteZeroBytes(long offset, long length)
    {
        while (length > 0)
        {
            int step = (int)Math.Min(length, ZeroChunkBytes);
            _inner.Disk.Write(offset, s_zeros.AsSpan(0, step));
            offset += step;
            length -= step;
        }
    }

    private void FlushInner()
    {
        try
        {
            _inner.Disk.Flush();
        }
        catch (Exception failure) when (failure is not StorageException)
        {
            throw Failed("flush", failure, -1, 0, mayHaveChanged: true);
        }
    }

    // What a strategy throws beside its contract: nobody knows what it left undone, so after anything that changes the disk nothing is promised any more.
    private StorageException Failed(string operation, Exception failure, long offset, long length, bool mayHaveChanged)
    {
        if (failure is DurabilityLostException lost)
        {
            _flushGate.SetPoison(lost);
            return lost;
        }

        string reason = $"{failure.GetType().Name}: {failure.Message.TrimEnd('.')} ({PluginBlame.Of(failure)})";
        if (Interlocked.Increment(ref _failuresTold) <= MaxFailuresTold)
            _logger?.LogError("SP1025: {Disk}: {Operation} failed outside its contract: {Reason}{Consequence}", Name, operation, reason, mayHaveChanged ? "; nothing more is promised to the disk's clients, reopen it to recover it" : "");
        if (!mayHaveChanged) return new StorageException(StorageError.Io, operation, Name, offset, length, reason, failure);
        var poison = new DurabilityLostException(operation, Name, reason, failure);
        _flushGate.SetPoison(poison);
        return poison;
    }

    private void FlushIfForced(WriteFlags flags)
    {
        if ((flags & WriteFlags.ForceUnitAccess) != 0) Flush();
    }

    private void EnterToWrite(string operation, long offset, long length)
    {
        if (IsReadOnly) throw new StorageException(StorageError.ReadOnly, operation, Name, offset, length, "the disk is read-only");
        if (Poison is { } poison) throw new DurabilityLostException(operation, Name, "an earlier sync failed; reopen the disk to recover it", poison);
        Enter(operation, offset, length);
    }

    private void Enter(string operation, long offset, long length)
    {
        if (!Contains(offset, length))
            throw new StorageException(StorageError.InvalidRange, operation, Name, offset, length, $"outside the disk of {Length} bytes");
        if (!_admission.Enter()) throw Closing(operation, offset, length);
    }

    private StorageException Closing(string operation, long offset, long length) =>
        new(StorageError.ShuttingDown, operation, Name, offset, length, "the disk is being closed");

    /// <summary>A disk with what it can do.</summary>
    private sealed class InnerDisk(IVirtualDisk disk)
    {
        public IVirtualDisk Disk { get; } = disk;

        public INonBlockingDisk? NonBlocking { get; } = disk.GetCapability<INonBlockingDisk>();

        public IDiscardDisk? Discard { get; } = disk.GetCapability<IDiscardDisk>();

        public IZeroingDisk? Zeroing { get; } = disk.GetCapability<IZeroingDisk>();

        public IExtentDisk? Extents { get; } = disk.GetCapability<IExtentDisk>();

        public IBarrierDisk? Barrier { get; } = disk.GetCapability<IBarrierDisk>();
    }
}
