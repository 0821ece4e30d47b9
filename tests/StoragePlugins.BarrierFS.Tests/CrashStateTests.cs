using System.Buffers.Binary;

namespace StoragePlugins.BarrierFS.Tests;

/// <summary>
/// Power cuts at every point of what reached the medium. Every sector that is written holds the number of its write, so that a disk tells
/// which epoch each of its sectors is from.
/// </summary>
public sealed class CrashStateTests
{
    private const int SectorBytes = 512;
    private const int Sectors = 400; // several regions of the queue's index
    private const int Epochs = 12;
    private const int SubsetsPerCut = 6;

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 1)]
    [InlineData(3, 1)]
    [InlineData(4, 4)]
    [InlineData(5, 4)]
    [InlineData(6, 4)]
    public void After_any_power_cut_the_disk_is_a_prefix_of_the_epochs(int seed, int threads)
    {
        var history = new History();
        var medium = new WatchedMedium();
        SlowDown(medium, seed);
        using (IOrderedMedium ordered = Attach.With(medium, BarrierMode.Deferred, queue: 1 << 20)) Run(ordered, history, seed, threads);
        Assert.Null(FirstEarlyByte(medium.Log!, history));
        Assert.Null(FirstBrokenPrefix(medium.Log!, history, seed));
        Assert.Equal(history.After(Epochs), Ids(medium.Content()));
    }

    [Fact]
    public void Held_back_epochs_were_really_held_back()
    {
        // Else the test above would hold of a primitive that waits in every barrier.
        var history = new History();
        var medium = new WatchedMedium();
        medium.SyncGate.Reset();
        using IOrderedMedium ordered = Attach.With(medium, BarrierMode.Deferred, queue: 1 << 20);
        for (int epoch = 0; epoch < 3; epoch++)
        {
            WriteSectors(ordered, history, epoch, new Random(epoch), 0, 1);
            ordered.Barrier();
        }

        WatchedLine[] log = medium.LogSoFar();
        medium.SyncGate.Set();
        Assert.DoesNotContain(log, line => line.Event == WatchedEvent.SyncEnd);
    }

    [Fact]
    public void Checks_find_a_barrier_that_does_nothing()
    {
        var history = new History();
        var medium = new WatchedMedium();
        using (var ordered = new PassThroughMedium(medium, static () => { }, medium.FlushData)) Run(ordered, history, 7, 1);
        Assert.NotNull(FirstEarlyByte(medium.Log!, history));
        Assert.NotNull(FirstBrokenPrefix(medium.Log!, history, 7));
    }

    [Fact]
    public void Checks_find_a_barrier_that_starts_a_sync_and_does_not_wait()
    {
        var history = new History();
        var medium = new WatchedMedium();
        var syncs = new List<Task>();
        medium.Before = operation =>
        {
            if (operation == "fdatasync") Thread.Sleep(1);
        };
        using (var ordered = new PassThroughMedium(medium, () => syncs.Add(Task.Run(medium.FlushData)), medium.FlushData)) Run(ordered, history, 8, 1);
        Task.WaitAll([.. syncs]);
        Assert.NotNull(FirstEarlyByte(medium.Log!, history));
    }

    private static void SlowDown(WatchedMedium medium, int seed)
    {
        var random = new Random(seed);
        medium.Before = operation =>
        {
            int turns;
            lock (random) turns = random.Next(operation == "fdatasync" ? 200_000 : 2_000);
            Thread.SpinWait(turns);
        };
    }

    /// <summary>Epochs of random writes, by several threads at once; barriers between them, now and then a flush.</summary>
    private static void Run(IOrderedMedium ordered, History history, int seed, int threads)
    {
        var random = new Random(seed);
        for (int epoch = 0; epoch < Epochs; epoch++)
        {
            Task[] writers = [.. Enumerable.Range(0, threads).Select(thread => Task.Factory.StartNew(
                () => WriteSectors(ordered, history, epoch, new Random((seed * 1000) + (epoch * 10) + thread), thread, threads), TaskCreationOptions.LongRunning))];
            Task.WaitAll(writers);
            if (random.Next(5) == 0) ordered.Flush();
            else ordered.Barrier();
        }

        ordered.Flush();
    }

    /// <summary>Writes of 1 to 20 sectors; each thread has every threads-th block of 20, so that threads meet in regions and not in bytes.</summary>
    private static void WriteSectors(IOrderedMedium ordered, History history, int epoch, Random random, int thread, int threads)
    {
        const int block = 20;
        for (int i = random.Next(1, 12); i > 0; i--)
        {
            int first = (((random.Next(Sectors / block / threads) * threads) + thread) * block) + random.Next(block / 2);
            int count = random.Next(1, (block / 2) + 1);
            int id = history.Begin(epoch, first, count);
            byte[] data = new byte[count * SectorBytes];
            for (int at = 0; at < data.Length; at += sizeof(int)) BinaryPrimitives.WriteInt32LittleEndian(data.AsSpan(at), id);
            ordered.Write(first * (long)SectorBytes, data, ContentClass.GuestData);
        }
    }

    /// <summary>A byte of a later epoch that was given to the medium before a sync had covered all that was ever given of the earlier ones.</summary>
    private static string? FirstEarlyByte(List<WatchedLine> log, History history)
    {
        var ended = new HashSet<int>();                 // calls
        var durable = new HashSet<int>();
        var starting = new Dictionary<int, int[]>();    // sync → calls that it covers
        int[] lastOfEpoch = [.. Enumerable.Range(0, Epochs).Select(epoch => log.FindLastIndex(line => line.Event == WatchedEvent.WriteStart && EpochsOf(line, history).Contains(epoch)))];
        for (int i = 0; i < log.Count; i++)
        {
            WatchedLine line = log[i];
            switch (line.Event)
            {
                case WatchedEvent.WriteEnd: ended.Add(line.Call); break;
                case WatchedEvent.SyncStart: starting[line.Call] = [.. ended]; break;
                case WatchedEvent.SyncEnd: durable.UnionWith(starting[line.Call]); break;
                case WatchedEvent.WriteStart:
                    int newest = EpochsOf(line, history).Max();
                    if (EpochsOf(line, history).Min() != newest) return $"line {i} mixes epochs";
                    for (int epoch = 0; epoch < newest; epoch++)
                    {
                        if (lastOfEpoch[epoch] > i) return $"line {i}: epoch {newest} is given while epoch {epoch} is not complete";
                    }

                    for (int before = 0; before < i; before++)
                    {
                        if (log[before].Event == WatchedEvent.WriteStart && EpochsOf(log[before], history).Max() < newest && !durable.Contains(log[before].Call))
                            return $"line {i}: epoch {newest} is given while line {before} is not durable";
                    }

                    break;
            }
        }

        return null;
    }

    /// <summary>A disk after a power cut that is not "all epochs before k, and any part of k" for any k.</summary>
    private static string? FirstBrokenPrefix(List<WatchedLine> log, History history, int seed)
    {
        var random = new Random(seed);
        for (int cut = 0; cut <= log.Count; cut++)
        {
            (int[] synced, List<(int Sector, int Id)> loose) = StateAt(log, cut);
            for (int subset = 0; subset < SubsetsPerCut; subset++)
            {
                int[] disk = [.. synced];
                for (int i = 0; i < loose.Count; i++)
                {
                    bool kept = subset switch
                    {
                        0 => true,
                        1 => i == loose.Count - 1,
                        2 => i >= loose.Count / 2,
                        _ => random.Next(2) == 0,
                    };
                    if (kept) disk[loose[i].Sector] = loose[i].Id;
                }

                if (history.WhyNoPrefix(disk) is { } reason) return $"cut at {cut} of {log.Count}: {reason}";
            }
        }

        return null;
    }

    /// <summary>What is durable at a cut, and the sectors that may or may not be.</summary>
    private static (int[] Synced, List<(int Sector, int Id)> Loose) StateAt(List<WatchedLine> log, int cut)
    {
        var ended = new HashSet<int>();
        var covers = new Dictionary<int, HashSet<int>>();
        HashSet<int> durable = [];
        for (int i = 0; i < cut; i++)
        {
            WatchedLine line = log[i];
            if (line.Event == WatchedEvent.WriteEnd) ended.Add(line.Call);
            else if (line.Event == WatchedEvent.SyncStart) covers[line.Call] = [.. ended];
            else if (line.Event == WatchedEvent.SyncEnd) durable.UnionWith(covers[line.Call]);
        }

        int[] synced = new int[Sectors];
        var loose = new List<(int, int)>();
        for (int i = 0; i < cut; i++)
        {
            if (log[i].Event != WatchedEvent.WriteStart) continue;
            int[] ids = Ids(log[i].Bytes);
            for (int at = 0; at < ids.Length; at++)
            {
                int sector = (int)(log[i].Offset / SectorBytes) + at;
                if (durable.Contains(log[i].Call)) synced[sector] = ids[at];
                else loose.Add((sector, ids[at]));
            }
        }

        return (synced, loose);
    }

    private static IEnumerable<int> EpochsOf(WatchedLine line, History history) => Ids(line.Bytes).Select(history.EpochOf);

    private static int[] Ids(byte[] bytes)
    {
        int[] ids = new int[bytes.Length / SectorBytes];
        for (int i = 0; i < ids.Length; i++) ids[i] = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(i * SectorBytes));
        return ids;
    }

    /// <summary>What was written, as its callers know it.</summary>
    private sealed class History
    {
        private readonly Lock _gate = new();
        private readonly List<(int Epoch, int First, int Count)> _writes = [];

        /// <summary>Notes a write; its number is above 0.</summary>
        public int Begin(int epoch, int first, int count)
        {
            lock (_gate)
            {
                _writes.Add((epoch, first, count));
                return _writes.Count;
            }
        }

        public int EpochOf(int id) => id == 0 ? -1 : _writes[id - 1].Epoch;

        /// <summary>The disk when all epochs below one are complete, cut where the last write ends.</summary>
        public int[] After(int epochs)
        {
            int[] disk = new int[_writes.Where(write => write.Epoch < epochs).Select(write => write.First + write.Count).DefaultIfEmpty().Max()];
            Apply(disk, epochs);
            return disk;
        }

        public string? WhyNoPrefix(int[] disk)
        {
            int newest = disk.Max(EpochOf);
            if (newest < 0) return null;
            int[] complete = new int[disk.Length];
            Apply(complete, newest);
            for (int sector = 0; sector < disk.Length; sector++)
            {
                if (EpochOf(disk[sector]) != newest && disk[sector] != complete[sector])
                    return $"epoch {newest} is there, but sector {sector} is of write {disk[sector]} in place of {complete[sector]}";
            }

            return null;
        }

        private void Apply(int[] disk, int epochs)
        {
            for (int i = 0; i < _writes.Count; i++)
            {
                if (_writes[i].Epoch < epochs) disk.AsSpan(_writes[i].First, _writes[i].Count).Fill(i + 1);
            }
        }
    }
}
