using System.Diagnostics;
using StoragePlugins.Media;
using StoragePlugins.PmJournal.Ring;
using StoragePlugins.Tests;
using Xunit.Abstractions;

namespace StoragePlugins.PmJournal.Tests.Ring;

/// <summary>Speed is written to the log, and not judged here: that depends on the machine.</summary>
public sealed class RingSpeedTests(ITestOutputHelper output)
{
    private const int RingBytes = 16 << 20;

    [Theory]
    [InlineData(48, 3_000_000)]
    [InlineData(64, 2_000_000)]
    [InlineData(4096, 500_000)]
    public void Commit_in_mapped_memory_allocates_nothing(int contentBytes, int commits)
    {
        string path = $"/dev/shm/sp-ring-{Guid.NewGuid():N}";
        File.WriteAllBytes(path, new byte[RingBytes]);
        try
        {
            using var medium = new FileMedium(File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite), "ring", path, false, new StorageMeter());
            IPersistentMemory memory = medium.Map(new MappingRequest { Emulated = true });
            var ring = new PmRing(memory, 0, RingBytes, new RecordSeal(Guid.NewGuid(), Guid.NewGuid(), 1), writtenByMsync: false);
            ring.Initialize(1);
            byte[] content = new byte[contentBytes];
            Random.Shared.NextBytes(content);
            Assert.Equal(0, Allocations.Of(() => Run(ring, content, commits / 10)));
            double seconds = Run(ring, content, commits);
            output.WriteLine($"{contentBytes} B: {commits / seconds:N0} commits/s, {seconds / commits * 1e9:N0} ns each");
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static double Run(PmRing ring, byte[] content, int commits)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < commits; i++)
        {
            if (!ring.HasRoom(content.Length)) ring.MoveTail(ring.NextTransaction, ring.Head);
            ring.Append(content);
        }

        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
