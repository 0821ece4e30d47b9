namespace StoragePlugins.BarrierFS.Tests;

public sealed class DeferredStressTests
{
    private const int Threads = 4;

    /// <summary>Not a power of two, so that ranges of all threads lie across regions and pages.</summary>
    private const int StripeBytes = 5000;

    private const int Stripes = 16;

    [Theory]
    [InlineData(64 << 20)]
    [InlineData(1 << 20)]
    public async Task Every_thread_reads_what_it_wrote_while_epochs_come_and_go(int queue)
    {
        var medium = new WatchedMedium { Log = null };
        medium.Before = operation => Thread.SpinWait(operation == "fdatasync" ? 20_000 : 50);
        byte[][] models = new byte[Threads][];
        using (IOrderedMedium ordered = Attach.With(medium, BarrierMode.Deferred, queue: queue))
        {
            ordered.SetLength(Threads * Stripes * StripeBytes);
            using var stop = new CancellationTokenSource();
            Task orderer = Task.Factory.StartNew(() => Order(ordered, stop.Token), TaskCreationOptions.LongRunning);
            await Task.WhenAll(Enumerable.Range(0, Threads).Select(thread => Task.Factory.StartNew(
                () => models[thread] = WriteAndRead(ordered, thread, TimeSpan.FromSeconds(2)), TaskCreationOptions.LongRunning)));
            await stop.CancelAsync();
            await orderer;
            ordered.Flush();
            byte[] content = medium.Content();
            for (int thread = 0; thread < Threads; thread++) Assert.Equal(models[thread], Gather(content, thread));
        }
    }

    private static void Order(IOrderedMedium ordered, CancellationToken stop)
    {
        var random = new Random(42);
        while (!stop.IsCancellationRequested)
        {
            if (random.Next(8) == 0) ordered.Flush();
            else ordered.Barrier();
            Thread.SpinWait(random.Next(20_000));
        }
    }

    /// <summary>A thread's own bytes are every fourth stripe. Returns what they should be in the end.</summary>
    private static byte[] WriteAndRead(IOrderedMedium ordered, int thread, TimeSpan duration)
    {
        byte[] model = new byte[Stripes * StripeBytes];
        byte[] buffer = new byte[StripeBytes];
        var random = new Random(thread);
        IDeallocatingMedium deallocating = ordered.GetCapability<IDeallocatingMedium>()!;
        INonBlockingMedium nonBlocking = ordered.GetCapability<INonBlockingMedium>()!;
        long end = Environment.TickCount64 + (long)duration.TotalMilliseconds;
        while (Environment.TickCount64 < end)
        {
            int stripe = random.Next(Stripes), from = random.Next(StripeBytes), length = random.Next(1, StripeBytes - from + 1);
            Span<byte> expected = model.AsSpan((stripe * StripeBytes) + from, length);
            long offset = (((stripe * Threads) + thread) * (long)StripeBytes) + from;
            switch (random.Next(10))
            {
                case < 5:
                    random.NextBytes(expected);
                    ordered.Write(offset, expected, (ContentClass)random.Next(2));
                    break;
                case 5:
                    expected.Clear();
                    Assert.True(random.Next(2) == 0 ? deallocating.TryZeroRange(offset, length) : deallocating.TryPunchHole(offset, length));
                    break;
                case 6:
                    if (nonBlocking.TryRead(offset, buffer.AsSpan(0, length)) && !expected.SequenceEqual(buffer.AsSpan(0, length))) Assert.Fail($"non-blocking read at {offset}+{length}");
                    break;
                default:
                    Assert.Equal(length, ordered.Read(offset, buffer.AsSpan(0, length)));
                    if (!expected.SequenceEqual(buffer.AsSpan(0, length))) Assert.Fail($"read at {offset}+{length}");
                    break;
            }
        }

        return model;
    }

    private static byte[] Gather(byte[] content, int thread)
    {
        byte[] own = new byte[Stripes * StripeBytes];
        for (int stripe = 0; stripe < Stripes; stripe++) content.AsSpan(((stripe * Threads) + thread) * StripeBytes, StripeBytes).CopyTo(own.AsSpan(stripe * StripeBytes));
        return own;
    }
}
