using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Media;

/// <summary>Mapped memory of a simulated device that records stores, line flushes and fences.</summary>
internal sealed class SimulatedMemory(DeviceImage image, int index, PersistenceDomain domain, Trace? trace, MediumFaults? faults) : IPersistentMemory
{
    private const int LineBytes = 64;

    public long Length { get; } = image.Length;

    public PersistenceDomain Domain => domain;

    public bool IsEmulated => true;

    public ReadOnlySpan<byte> View(long offset, int length) => image.View(offset, length);

    public void Store(long offset, ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty) return;
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
    }

    private void Attempt(TraceEvent? entry)
    {
        try
        {
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
