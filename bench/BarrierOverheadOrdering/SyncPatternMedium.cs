using System.Runtime.InteropServices;

namespace StoragePlugins.BarrierOverheadOrdering;

/// <summary>Writes go straight through. The first sync that fails is final.</summary>
internal sealed partial class SyncPatternMedium(IStorageMedium medium, IFlushableMedium flushable, IFileMedium? file, SyncPatternOptions options, StorageMeter meter) : IOrderedMedium
{
    private const uint SyncFileRangeWrite = 2;

    private readonly Lock _syncing = new();
    private volatile Exception? _failure;

    public string Name => medium.Name;

    public long Length => medium.Length;

    public bool IsReadOnly => medium.IsReadOnly;

    public int Read(long offset, Span<byte> buffer) => medium.Read(offset, buffer);

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        ThrowIfPoisoned();
        medium.Write(offset, data, content);
    }

    public void SetLength(long length)
    {
        ThrowIfPoisoned();
        medium.SetLength(length);
    }

    public void Barrier()
    {
        switch (options.Barrier)
        {
            case BarrierStandIn.Sync:
                Sync();
                return;
            case BarrierStandIn.Dispatch:
                if (SyncFileRange((int)file!.Handle.DangerousGetHandle(), 0, 0, SyncFileRangeWrite) != 0)
                    throw new DurabilityLostException("barrier (sync_file_range)", Name, Marshal.GetLastPInvokeErrorMessage());
                break;
            default:
                break;
        }

        meter.CountBarrier();
    }

    public void Flush()
    {
        for (int i = 0; i < options.BarriersBeforeFlush; i++) Barrier();
        Sync();
    }

    public T? GetCapability<T>() where T : class =>
        typeof(T) == typeof(IFlushableMedium) || typeof(T) == typeof(IBarrierMedium) ? null : medium.GetCapability<T>();

    public void Dispose() => medium.Dispose();

    [LibraryImport("libc", EntryPoint = "sync_file_range", SetLastError = true)]
    private static partial int SyncFileRange(int file, long offset, long length, uint flags);

    private void Sync()
    {
        lock (_syncing)
        {
            ThrowIfPoisoned();
            try
            {
                flushable.FlushData();
            }
            catch (Exception e)
            {
                _failure ??= e;
                throw new DurabilityLostException("fdatasync", Name, e.Message, e);
            }
        }
    }

    private void ThrowIfPoisoned()
    {
        if (_failure is { } failure) throw new DurabilityLostException("fdatasync", Name, $"an earlier fdatasync failed ({failure.Message})", failure);
    }
}
