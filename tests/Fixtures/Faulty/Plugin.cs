using System.ComponentModel;

[assembly: StoragePlugin("Faulty", Description = "Fails in the way that its option says.")]

namespace Faulty;

public enum Failure
{
    None = 0,
    Attach,
    AttachNull,
    Read,
    Write,
    Flush,
    HangAtClose,
}

public sealed class FaultyOptions
{
    [Description("What goes wrong.")]
    public Failure Fail { get; set; }

    [Description("From which byte of the file on reads and writes fail: behind what the format itself reads.")]
    public long From { get; set; } = 1 << 20;
}

[Export(typeof(IOrderingPrimitive))]
[Strategy("faulty", Summary = "Fails.", Options = typeof(FaultyOptions))]
public sealed class Order : IOrderingPrimitive
{
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context)
    {
        FaultyOptions options = context.Options<FaultyOptions>();
        return options.Fail switch
        {
            Failure.Attach => throw new InvalidOperationException("a bug while attaching"),
            Failure.AttachNull => null!,
            _ => new Medium(medium, options),
        };
    }

    private sealed class Medium(IStorageMedium inner, FaultyOptions options) : IOrderedMedium
    {
        private int _flushes;

        public string Name => inner.Name;

        public long Length => inner.Length;

        public bool IsReadOnly => inner.IsReadOnly;

        public int Read(long offset, Span<byte> buffer)
        {
            if (options.Fail == Failure.Read && offset >= options.From) throw new NullReferenceException("a bug while reading");
            return inner.Read(offset, buffer);
        }

        public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
        {
            if (options.Fail == Failure.Write && offset >= options.From) throw new NullReferenceException("a bug while writing");
            inner.Write(offset, data, content);
        }

        public void SetLength(long length) => inner.SetLength(length);

        public void Barrier() => Flush();

        public void Flush()
        {
            _flushes++;
            if (options.Fail == Failure.Flush) throw new InvalidCastException("a bug while flushing");
            if (options.Fail == Failure.HangAtClose && _flushes > 1) Thread.Sleep(Timeout.Infinite);
            inner.GetCapability<IFlushableMedium>()!.FlushData();
        }

        public T? GetCapability<T>() where T : class => null;

        public void Dispose() => inner.Dispose();
    }
}
