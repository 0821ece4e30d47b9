using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using Microsoft.Extensions.Logging;

[assembly: StoragePlugin("Toy", Description = "One strategy of every kind.")]

namespace Toy;

/// <summary>Options of every simple type.</summary>
public sealed class SlowOptions
{
    [Description("How long a flush takes.")]
    [Range(typeof(TimeSpan), "00:00:00", "00:00:10")]
    public TimeSpan FlushDelay { get; set; } = TimeSpan.FromMilliseconds(1);

    [Description("Bytes a second.")]
    [Range(512, 1 << 30)]
    public long Rate { get; set; } = 1 << 20;

    public Mode Mode { get; set; }

    public bool Loud { get; set; }

    public double Jitter { get; set; } = 0.5;

    [AllowedValues("red", "green")]
    public string Color { get; set; } = "red";

    public IReadOnlyList<int> Steps { get; set; } = [1, 2];
}

public enum Mode
{
    WriteBack,
    WriteThrough,
}

[Export(typeof(IMediumFactory))]
[Strategy("toy-slow", Summary = "A medium that could be slow.", Options = typeof(SlowOptions))]
public sealed class SlowFactory : IMediumFactory
{
    public IStorageMedium Open(MediumRequest request, StrategyContext context)
    {
        SlowOptions options = context.Options<SlowOptions>();
        context.Logger.LogInformation("toy-slow {Delay} {Mode} {Steps}", options.FlushDelay, options.Mode, string.Join("+", options.Steps));
        return new Slow(request.OpenInner());
    }

    private sealed class Slow(IStorageMedium inner) : IStorageMedium
    {
        public string Name => inner.Name;
        public long Length => inner.Length;
        public bool IsReadOnly => inner.IsReadOnly;
        public int Read(long offset, Span<byte> buffer) => inner.Read(offset, buffer);
        public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content) => inner.Write(offset, data, content);
        public void SetLength(long length) => inner.SetLength(length);
        public T? GetCapability<T>() where T : class => inner.GetCapability<T>();
        public void Dispose() => inner.Dispose();
    }
}

[Export(typeof(IOrderingPrimitive))]
[Strategy("toy-order", Summary = "Flushes at barriers.")]
public class Order : IOrderingPrimitive
{
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context)
    {
        if (medium.GetCapability<IFlushableMedium>() is not { } flushable) throw new DiagnosticException("TOY1", "the medium cannot flush", medium.Name);
        return new Ordered(medium, flushable, context.Meter);
    }

    private sealed class Ordered(IStorageMedium inner, IFlushableMedium flushable, StorageMeter meter) : IOrderedMedium
    {
        public string Name => inner.Name;
        public long Length => inner.Length;
        public bool IsReadOnly => inner.IsReadOnly;
        public int Read(long offset, Span<byte> buffer) => inner.Read(offset, buffer);
        public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content) => inner.Write(offset, data, content);
        public void SetLength(long length) => inner.SetLength(length);
        public T? GetCapability<T>() where T : class => inner.GetCapability<T>();
        public void Barrier() => Flush();

        public void Flush()
        {
            flushable.FlushData();
            meter.CountHostFlush();
        }

        public void Dispose() => inner.Dispose();
    }
}

[Export(typeof(IOrderingPrimitive))]
[Strategy("toy-none", Summary = "Orders nothing.", Unsafe = "acknowledged writes are lost in a crash")]
public sealed class NoOrder : Order;

[Export(typeof(IMetadataJournal))]
[Strategy("toy-journal", Summary = "Writes home at once.")]
public sealed class Journal : IMetadataJournal
{
    public IJournalSession Open(IJournalSite site, IOrderedMedium home, StrategyContext context) => new Session(home);

    private sealed class Session(IOrderedMedium home) : IJournalSession
    {
        public IOrderedMedium Home => home;
        public long MaxTransactionBytes => long.MaxValue;
        public bool IsAtomic => false;
        public RecoveryReport Recover() => RecoveryReport.Clean;

        public void Start()
        {
        }

        public void Commit(MetadataTransaction transaction, CommitGoal goal)
        {
            for (int stage = 0; stage < MetadataTransaction.MaxStages; stage++)
            {
                foreach (AfterImage image in transaction.Stage(stage)) home.Write(image.Offset, transaction.Bytes(image), image.Content);
            }

            if (goal == CommitGoal.Durable) home.Flush();
        }

        public void Checkpoint()
        {
        }

        public void Close() => home.Flush();
        public T? GetCapability<T>() where T : class => null;

        public void Dispose()
        {
        }
    }
}
