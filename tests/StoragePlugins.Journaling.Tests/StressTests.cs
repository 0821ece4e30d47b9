using System.Buffers.Binary;
using StoragePlugins.Journaling.Tests.Doubles;

namespace StoragePlugins.Journaling.Tests;

/// <summary>Many threads on a tiny log and overlay, so that checkpoints and full logs happen all the time.</summary>
public sealed class StressTests
{
    private const int Threads = 6;
    private const int Rounds = 3000;
    private const int Sectors = 1600;

    [Fact]
    public void Each_thread_reads_back_what_it_wrote_and_all_of_it_is_there_after_a_recovery()
    {
        var medium = new RecordingMedium(new byte[Image.Data + 65536]) { Records = false };
        using var image = new Image(medium, new JournalSettings(4096, 64 << 10) { MaxInlinePerRecord = 64 << 10, MaxCopied = 8 << 10 });
        var last = new long[Sectors];
        var commits = new Lock();
        Exception? failure = null;
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(t => new Thread(() =>
        {
            try
            {
                Work(image, t, last, commits);
            }
            catch (Exception e)
            {
                failure ??= e;
            }
        }))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        Assert.Null(failure);
        JournalStatistics work = image.Session.Statistics;
        Assert.True(work is { Checkpoints: > 20, Records: > 500 }, $"{work.Records} records, {work.Checkpoints} checkpoints, {work.FullLogs} times full");

        image.Home.Flush();
        using Image again = image.Reopen();
        AssertAll(again.Home, last);
        image.Session.Close();
        AssertAll(medium, last);
    }

    /// <summary>Sectors are interleaved between threads, so that they share pages.</summary>
    private static void Work(Image image, int thread, long[] last, Lock commits)
    {
        var random = new Random(thread);
        var transaction = new MetadataTransaction();
        byte[] data = new byte[64 * 512];
        byte[] seen = new byte[64 * 512];
        for (int round = 1; round <= Rounds; round++)
        {
            // A thread owns runs of 1, 8 or 40 sectors that begin in blocks of its own.
            int block = (random.Next(Sectors / 40 / Threads) * Threads) + thread;
            int first = (block * 40) + (random.Next(2) == 0 ? 0 : random.Next(40));
            int count = Math.Min(random.Next(3) switch { 0 => 1, 1 => 8, _ => 40 }, (block * 40) + 40 - first);
            long stamp = ((long)thread << 32) | (uint)round;
            for (int s = 0; s < count; s++)
            {
                Fill(data.AsSpan(s * 512, 512), stamp);
                last[first + s] = stamp;
            }

            image.Home.Write(Image.Data + (first * 512L), data.AsSpan(0, count * 512), ContentClass.GuestData);
            image.Home.Read(Image.Data + (first * 512L), seen.AsSpan(0, count * 512));
            Assert.True(seen.AsSpan(0, count * 512).SequenceEqual(data.AsSpan(0, count * 512)), $"thread {thread} round {round}");
            int old = (block * 40) + random.Next(40);
            seen.AsSpan(0, 512).Clear();
            image.Home.Read(Image.Data + (old * 512L), seen.AsSpan(0, 512));
            Assert.Equal(last[old], BinaryPrimitives.ReadInt64LittleEndian(seen));
            if (round % 8 == 0) Commit(image, thread, round, transaction, commits);
        }
    }

    private static void Commit(Image image, int thread, int round, MetadataTransaction transaction, Lock commits)
    {
        // The format commits one at a time.
        lock (commits)
        {
            transaction.Clear();
            Span<byte> cell = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(cell, round);
            transaction.Add(1, ContentClass.Map, Image.Tables + (thread * 8), cell);
            transaction.Add(1, ContentClass.Map, Image.Tables + 4096 + ((round % 100) * 512) + (thread * 8), cell);
            image.Session.Commit(transaction, round % 16 == 0 ? CommitGoal.Durable : CommitGoal.Ordered);
            image.Home.Read(Image.Tables + (thread * 8), cell);
            Assert.Equal(round, BinaryPrimitives.ReadInt64LittleEndian(cell));
        }
    }

    private static void Fill(Span<byte> sector, long stamp)
    {
        for (int at = 0; at < sector.Length; at += 8) BinaryPrimitives.WriteInt64LittleEndian(sector[at..], stamp);
    }

    private static void AssertAll(IStorageMedium home, long[] last)
    {
        byte[] sector = new byte[512];
        byte[] expected = new byte[512];
        for (int s = 0; s < Sectors; s++)
        {
            sector.AsSpan().Clear();
            _ = home.Read(Image.Data + (s * 512L), sector);
            Fill(expected, last[s]);
            Assert.True(sector.AsSpan().SequenceEqual(expected), $"sector {s}");
        }
    }
}
