using System.Diagnostics;
using System.Runtime.ExceptionServices;
using System.Security.Cryptography;

namespace StoragePlugins.Host.Comparison;

/// <summary>Runs a workload on a disk and takes the time of every operation.</summary>
internal static class LoadDriver
{
    /// <summary>The most that one run may take; beyond it something hangs, or asks for fewer operations.</summary>
    public static readonly TimeSpan RunLimit = TimeSpan.FromMinutes(15);

    /// <summary>Runs it and closes the disk.</summary>
    /// <param name="disk">Open, without clients.</param>
    /// <param name="writeBytes">Bytes of each write.</param>
    /// <param name="offsets">The offsets of each client.</param>
    /// <param name="cancel">Ends it between two operations.</param>
    public static RunResult Run(IMeasuredDisk disk, int writeBytes, long[][] offsets, CancellationToken cancel)
    {
        var clients = new List<NbdClient>(offsets.Length);
        StorageCounts? before, after;
        long[] ticks;
        long elapsed;
        try
        {
            foreach (long[] _ in offsets)
            {
                clients.Add(disk.Connect());
                RandomNumberGenerator.Fill(clients[^1].Payload);
            }

            before = disk.Counts;
            (ticks, elapsed) = Time(clients, writeBytes, offsets, cancel);
            after = disk.Counts;
        }
        finally
        {
            foreach (NbdClient client in clients) client.Dispose();
        }

        disk.Close();
        return new RunResult(ticks, elapsed, after - before, disk.Counts);
    }

    /// <summary>Writes ranges in order, without waiting for each, then makes them durable and closes the disk.</summary>
    public static void Fill(IMeasuredDisk disk, IEnumerable<(long Offset, int Length)> ranges, CancellationToken cancel)
    {
        using (NbdClient client = disk.Connect())
        {
            RandomNumberGenerator.Fill(client.Payload);
            foreach ((long offset, int length) in ranges)
            {
                cancel.ThrowIfCancellationRequested();
                client.Write(offset, length);
            }

            client.Flush();
        }

        disk.Close();
    }

    /// <summary>Has clients write and flush, all at once, and takes the time.</summary>
    /// <param name="clients">One for each list of offsets; what they send is in their payloads.</param>
    /// <param name="writeBytes">Bytes of each write.</param>
    /// <param name="offsets">The offsets of each client.</param>
    /// <param name="cancel">Ends it between two operations.</param>
    /// <returns>Ticks of each operation, and from the first client's start to the last one's end.</returns>
    public static (long[] Ticks, long Elapsed) Time(List<NbdClient> clients, int writeBytes, long[][] offsets, CancellationToken cancel)
    {
        long[][] times = [.. offsets.Select(each => new long[each.Length])];
        long elapsed = RunClients(clients, writeBytes, offsets, times, cancel);
        return ([.. times.SelectMany(each => each)], elapsed);
    }

    /// <returns>Ticks from the first client's start to the last one's end.</returns>
    private static long RunClients(List<NbdClient> clients, int writeBytes, long[][] offsets, long[][] times, CancellationToken cancel)
    {
        if (clients.Count == 1)
        {
            long begin = Stopwatch.GetTimestamp();
            RunOne(clients[0], writeBytes, offsets[0], times[0], cancel);
            return Stopwatch.GetTimestamp() - begin;
        }

        ExceptionDispatchInfo? failure = null;
        using var start = new ManualResetEventSlim();
        Thread[] threads = [.. clients.Select((client, i) => new Thread(() =>
        {
            try
            {
                start.Wait();
                RunOne(client, writeBytes, offsets[i], times[i], cancel);
            }
            catch (Exception exception)
            {
                Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(exception), null);
            }
        })
        { IsBackground = true, Name = $"client {i}" })];
        foreach (Thread thread in threads) thread.Start();
        long began = Stopwatch.GetTimestamp();
        start.Set();
        foreach (Thread thread in threads) thread.Join();
        long elapsed = Stopwatch.GetTimestamp() - began;
        failure?.Throw();
        return elapsed;
    }

    private static void RunOne(NbdClient client, int writeBytes, long[] offsets, long[] times, CancellationToken cancel)
    {
        long begin = Stopwatch.GetTimestamp(), previous = begin;
        for (int i = 0; i < offsets.Length; i++)
        {
            client.Write(offsets[i], writeBytes);
            client.Flush();
            long now = Stopwatch.GetTimestamp();
            times[i] = now - previous;
            previous = now;
            cancel.ThrowIfCancellationRequested();
            if (Stopwatch.GetElapsedTime(begin, now) > RunLimit)
                throw new DiagnosticException("SP4108", $"one run takes longer than {RunLimit.TotalMinutes:0} minutes", found: $"{i + 1} of {offsets.Length} operations done", fix: "measure fewer with --operations");
        }
    }
}

/// <summary>One run of a workload.</summary>
/// <param name="Ticks">Of each operation, write and flush, in <see cref="Stopwatch"/> ticks.</param>
/// <param name="ElapsedTicks">Of all of them.</param>
/// <param name="Measured">What the operations cost the host's storage; null where nobody counts.</param>
/// <param name="OpenToClose">The same with what opening and closing the disk costs.</param>
internal sealed record RunResult(long[] Ticks, long ElapsedTicks, StorageCounts? Measured, StorageCounts? OpenToClose);
