using System.Net.Sockets;
using static StoragePlugins.Host.Tests.Exports.NbdTestClient;

namespace StoragePlugins.Host.Tests.Exports;

/// <summary>Runs beside no other test: the figure is of the whole process, the server's threads included.</summary>
[Collection(nameof(AloneCollection))]
public class NbdAllocationTests
{
    private const int MiB = 1 << 20;

    [Fact]
    public void A_served_request_allocates_nothing()
    {
        var disk = new MemoryDisk(MiB) { ColdOffset = 8192, HasBarriers = true };
        disk.ColdRead.Set();
        using var server = new NbdTestServer(disk);
        using NbdTestClient client = server.Greet();
        client.Ask(OptBarriers, Text(""));
        client.Go("");
        byte[] batch = Join(
            [.. Enumerable.Range(0, 10).Select(i => RequestBytes(Read, (ulong)i * 4096, 4096, 0, (ulong)i))]);
        byte[] writes = Join(Join(RequestBytes(Write, 0, 4096, 0, 1), new byte[4096]), Join(RequestBytes(Write, 4096, 512, Fua, 2), new byte[512]), RequestBytes(Flush, 0, 0, 0, 3), RequestBytes(GuestBarrier, 0, 0, 0, 4));
        byte[] replies = new byte[(10 * (16 + 4096)) + (4 * 16)];
        long Rounds(int rounds)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            for (int i = 0; i < rounds; i++)
            {
                client.Socket.Send(batch);
                client.Socket.Send(writes);
                for (int done = 0; done < replies.Length;) done += client.Socket.Receive(replies, done, replies.Length - done, SocketFlags.None);
            }

            return GC.GetTotalAllocatedBytes(precise: true) - before;
        }

        Rounds(500);
        // The runtime's own threads allocate now and then: the best of some tries tells.
        double best = Enumerable.Range(0, 10).Min(_ => Rounds(1000)) / 14_000.0;
        Assert.InRange(best, 0, 2);
    }
}

/// <summary>Tests that measure the process.</summary>
[CollectionDefinition(nameof(AloneCollection), DisableParallelization = true)]
public sealed class AloneCollection;
