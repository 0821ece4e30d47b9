using System.Diagnostics;
using StoragePlugins.Host.Disks;

namespace StoragePlugins.Host.Serving;

/// <summary>One line on the terminal, rewritten every second: rate, guest flushes against host flushes, latency.</summary>
internal sealed class StatusLine : IDisposable
{
    private static readonly TimeSpan s_period = TimeSpan.FromSeconds(1);

    private readonly ServedDisks _disks;
    private readonly Timer _timer;
    private readonly Lock _writing = new();
    private readonly long[] _latencyBefore = new long[LatencyHistogram.CountsLength];
    private Totals _before;
    private long _at = Stopwatch.GetTimestamp();

    private StatusLine(ServedDisks disks)
    {
        _disks = disks;
        _timer = new Timer(_ => Show(), null, s_period, s_period);
    }

    /// <summary>Starts showing.</summary>
    public static StatusLine Start(ServedDisks disks) => new(disks);

    /// <summary>Stops and leaves an empty line.</summary>
    public void Dispose()
    {
        _timer.Dispose();
        lock (_writing) Console.Write("\r\u001b[K");
    }

    /// <summary>The line for what happened between two readings.</summary>
    internal static string Describe(in Totals before, in Totals now, TimeSpan elapsed, TimeSpan p50, TimeSpan p99)
    {
        double seconds = Math.Max(elapsed.TotalSeconds, 1e-3);
        long requests = now.Requests - before.Requests;
        double megabytes = (now.Bytes - before.Bytes) / 1e6;
        return $"{requests / seconds:n0} requests/s  {megabytes / seconds:n1} MB/s  "
            + $"{now.GuestFlushes - before.GuestFlushes:n0} guest flushes → {now.HostFlushes - before.HostFlushes:n0} host flushes  "
            + $"p50 {p50.TotalMicroseconds:n0} µs  p99 {p99.TotalMicroseconds:n0} µs";
    }

    private void Show()
    {
        lock (_writing)
        {
            Totals now = Totals.Of(_disks);
            var latency = new long[LatencyHistogram.CountsLength];
            foreach (var export in _disks.Exports) export.Disk.Latency.AddTo(latency);
            long[] since = [.. latency.Zip(_latencyBefore, (a, b) => a - b)];
            string line = Describe(_before, now, Stopwatch.GetElapsedTime(_at), LatencyHistogram.Percentile(since, 0.5), LatencyHistogram.Percentile(since, 0.99));
            // A terminal that does not know its width (a serial console) gets the whole line.
            int width = Console.WindowWidth > 1 ? Console.WindowWidth - 1 : int.MaxValue;
            Console.Write($"\r\u001b[K{(line.Length > width ? line[..width] : line)}");
            latency.CopyTo(_latencyBefore, 0);
            (_before, _at) = (now, Stopwatch.GetTimestamp());
        }
    }

    /// <summary>Sums over all images.</summary>
    internal readonly record struct Totals(long Requests, long Bytes, long GuestFlushes, long HostFlushes)
    {
        public static Totals Of(ServedDisks disks)
        {
            Totals sum = default;
            foreach (MeterReading m in disks.Images.Select(image => image.Meter.Read()))
            {
                sum = new Totals(sum.Requests + m.GuestReads + m.GuestWrites + m.GuestFlushes + m.GuestBarriers, sum.Bytes + m.GuestReadBytes + m.GuestWrittenBytes,
                    sum.GuestFlushes + m.GuestFlushes, sum.HostFlushes + m.HostFlushes);
            }

            return sum;
        }
    }
}
