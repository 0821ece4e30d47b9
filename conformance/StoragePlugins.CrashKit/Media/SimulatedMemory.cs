using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Media;

/// <summary>Mapped memory of a simulated device that records stores, line flushes and fences.</summary>
internal sealed class SimulatedMemory(DeviceImage image, int index, PersistenceDomain domain, Trace? trace, MediumFaults? faults) : IPersistentMemory
{
    private const int LineBytes = 64;
    private const int PageBytes = 4096;

    private volatile bool _isLost;

    public long Length { get; } = image.Length;

    public PersistenceDomain Domain => domain;

    public bool IsEmulated => true;

    /// <summary>Stores are refused, as a mapping for reading answers them with a signal.</summary>
    public bool IsReadOnly { get; init; }

    public ReadOnlySpan<byte> View(long offset, int length)
    {
        ReadOnlySpan<byte> view = image.View(offset, length);
        return faults is null || length == 0 ? view : Readable(offset, view);
    }

    public void Store(long offset, ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty) return;
        ThrowIfRefused(offset, data.Length);
        faults?.BeforeWrite(index, offset, data.Length, ContentClass.JournalRecord);
        trace?.Add(TraceKind.Store, index, offset, data.Length, data);
        image.Write(offset, data);
    }

    public void StoreNonTemporal(long offset, ReadOnlySpan<byte> data)
    {
        // Head and tail that do not fill a line are cached stores with a flush, as the contract has it.
        long firstLine = (offset + LineBytes - 1) / LineBytes * LineBytes, end = offset + data.Length, lastLine = end / LineBytes * LineBytes;
        if (firstLine >= lastLine)
        {
            StoreAndFlush(offset, data);
            return;
        }

        StoreAndFlush(offset, data[..(int)(firstLine - offset)]);
        ReadOnlySpan<byte> lines = data[(int)(firstLine - offset)..(int)(lastLine - offset)];
        ThrowIfRefused(firstLine, lines.Length);
        faults?.BeforeWrite(index, firstLine, lines.Length, ContentClass.JournalRecord);
        trace?.Add(TraceKind.StoreNonTemporal, index, firstLine, lines.Length, lines);
        image.Write(firstLine, lines);
        StoreAndFlush(lastLine, data[(int)(lastLine - offset)..]);
    }

    public void FlushLines(long offset, long length) => trace?.Add(TraceKind.FlushLines, index, offset, length);

    public void Fence()
    {
        Attempt(trace?.Begin(TraceKind.Fence, index));
    }

    public void Persist(long offset, long length)
    {
        if (domain == PersistenceDomain.Msync)
        {
            Attempt(trace?.Begin(TraceKind.Persist, index, offset, length));
            return;
        }

        if (domain != PersistenceDomain.Eadr) FlushLines(offset, length);
        Fence();
    }

    public void ThrowIfLost()
    {
        if (_isLost) throw new StorageException(StorageError.Io, "mapped access", "simulated device", -1, 0, "the mapping was lost: injected by the crash kit");
    }

    private void ThrowIfRefused(long offset, int length)
    {
        if (IsReadOnly) throw new StorageException(StorageError.ReadOnly, "store", "simulated memory", offset, length, "it is mapped for reading only");
        ThrowIfLost();
    }

    // A page that cannot be read is replaced by one of zeros, and the mapping is lost from then on: what the host makes of SIGBUS.
    private ReadOnlySpan<byte> Readable(long offset, ReadOnlySpan<byte> view)
    {
        byte[]? copy = null;
        for (long page = offset / PageBytes * PageBytes; page < offset + view.Length; page += PageBytes)
        {
            long from = Math.Max(page, offset), to = Math.Min(page + PageBytes, offset + view.Length);
            try
            {
                faults!.BeforeRead(index, from, (int)(to - from));
            }
            catch (StorageException)
            {
                _isLost = true;
                copy ??= view.ToArray();
                copy.AsSpan((int)(from - offset), (int)(to - from)).Clear();
            }
        }

        return copy ?? view;
    }

    private void Attempt(TraceEvent? entry)
    {
        try
        {
            ThrowIfLost();
            faults?.BeforeFlush(index);
        }
        catch (StorageException failure)
        {
            if (entry is not null) trace!.Fail(entry);
            throw new DurabilityLostException(failure.Operation, "simulated memory", failure.Message, failure);
        }

        if (entry is not null) trace!.End(entry);
    }

    private void StoreAndFlush(long offset, ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty) return;
        Store(offset, data);
        FlushLines(offset, data.Length);
    }
}
