using System.Diagnostics;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>Space that programs have given back and the tree has not got yet.</summary>
/// <remarks>
/// <para>The kernel says RELEASE and FORGET without waiting for an answer, the second after up to eight later requests; and what was read first may be
/// answered last. So a program that removes a file and writes at once could find the space still taken (seen: one time in three with 16 MiB in memory).
/// A request for which there is no space therefore waits until what was given back has arrived, and is answered once more.</para>
/// <para>Thread-safe.</para>
/// </remarks>
internal sealed class ReturningSpace
{
    /// <summary>A mount that never comes to rest is not to hold a program up for longer than it would notice.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(100);

    /// <summary>Between two looks. A thread that has read a request and not begun it would be missed by one of them.</summary>
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(1);

    private int _arriving;

    /// <summary>Whether a request gives something back, and nobody waits for its answer.</summary>
    public static bool IsGivenBackBy(FuseOpcode opcode) => opcode is FuseOpcode.Release or FuseOpcode.Forget or FuseOpcode.BatchForget;

    /// <summary>A request was read.</summary>
    public void Begin(FuseOpcode opcode)
    {
        if (IsGivenBackBy(opcode)) Interlocked.Increment(ref _arriving);
    }

    /// <summary>Its answer was sent: the kernel forgets a file that is removed only when it knows it closed.</summary>
    public void Finish(FuseOpcode opcode)
    {
        if (IsGivenBackBy(opcode)) Interlocked.Decrement(ref _arriving);
    }

    /// <summary>Waits until nothing is on its way: 1 ms where nothing is, 100 ms at most. Another thread is to read meanwhile.</summary>
    /// <param name="hasMore">Asks the kernel whether another request waits.</param>
    public void Await(Func<bool> hasMore)
    {
        long start = Stopwatch.GetTimestamp();
        bool wasQuiet = false;
        while (true)
        {
            bool isQuiet = Volatile.Read(ref _arriving) == 0 && !hasMore();
            if ((isQuiet && wasQuiet) || Stopwatch.GetElapsedTime(start) > s_patience) return;
            wasQuiet = isQuiet;
            Thread.Sleep(s_pause);
        }
    }
}
