namespace StoragePlugins.CrashKit.Contracts.Model;

/// <summary>The kit's own ordering, a partner for formats and journals: a barrier and a flush are a flush of the medium, and a failed one is final.</summary>
public sealed class FlushOrdering : IOrderingPrimitive
{
    /// <inheritdoc/>
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) => new Ordered(
        medium, medium.GetCapability<IFlushableMedium>() ?? throw new DiagnosticException("SP5010", "the medium cannot be flushed", medium.Name));

    private sealed class Ordered(IStorageMedium medium, IFlushableMedium flushable) : IOrderedMedium
    {
        private readonly Lock _gate = new();
        private Exception? _failure;

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

        public void Barrier() => Flush();

        public void Flush()
        {
            lock (_gate)
            {
                ThrowIfPoisoned();
                try
                {
                    flushable.FlushData();
                }
                catch (Exception failure)
                {
                    _failure = failure;
                    throw new DurabilityLostException("flush", Name, failure.Message, failure);
                }
            }
        }

        public T? GetCapability<T>() where T : class => typeof(T) == typeof(IFlushableMedium) || typeof(T) == typeof(IBarrierMedium) ? null : medium.GetCapability<T>();

        public void Dispose() => medium.Dispose();

        private void ThrowIfPoisoned()
        {
            if (_failure is { } failure) throw new DurabilityLostException("flush", Name, failure.Message, failure);
        }
    }
}
