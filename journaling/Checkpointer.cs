using System.Buffers;
using Microsoft.Extensions.Logging;

namespace StoragePlugins.Journaling;

/// <summary>
/// Brings pages home: neighbours in one write, in the background or, when the log is full, for the one who waits. It never flushes a medium that
/// the log is part of: the next commit's flush makes its writes durable, and then the tail moves.
/// </summary>
internal sealed class Checkpointer(IOrderedMedium home, PageTable pages, HomeSync sync, JournalStatistics statistics, ILogger logger) : IDisposable
{
    /// <summary>
    /// A background checkpoint pauses after so many pages: the flush of whoever waits for one has to write what is dirty by then, and 2000 scattered
    /// pages at once would be milliseconds for it. Half a log's worth is home in some 20 pauses, sooner than the other half fills.
    /// </summary>
    private const int PagesAtOnce = 128;

    /// <summary>Long enough for a few flushes of a fast device.</summary>
    private const int PauseMilliseconds = 1;

    private readonly object _running = new();
    private readonly object _wake = new();
    private readonly List<long> _numbers = [];
    private Thread? _thread;
    private bool _requested, _stopped;
    private ulong _applied;
    private int _waiting;

    /// <summary>Set when nothing but a checkpoint needs home to be flushed: then it flushes itself.</summary>
    public bool FlushesItself { get; set; }

    /// <summary>The newest record whose after-images are in their pages.</summary>
    public ulong Applied
    {
        get => Volatile.Read(ref _applied);
        set => Volatile.Write(ref _applied, value);
    }

    /// <summary>Home as it will be: the medium, or what pages hold beyond its end.</summary>
    private long HomeLength => Math.Max(home.Length, pages.End);

    /// <summary>Asks for a checkpoint in the background.</summary>
    public void Request()
    {
        lock (_wake)
        {
            if (_stopped) return;
            _requested = true;
            if (_thread is null)
            {
                _thread = new Thread(Work) { IsBackground = true, Name = "journal checkpoint" };
                _thread.Start();
            }

            Monitor.Pulse(_wake);
        }
    }

    /// <summary>Writes every live page home. Runs one at a time.</summary>
    /// <exception cref="StorageException">A write failed. Nothing is lost: pages and log stay as they are.</exception>
    public void Run() => Hurry(() => WriteLivePages(pausing: false));

    /// <summary>Writes all pages home, also what no record holds, and lets them go. For a session that ends.</summary>
    public void Drain() => Hurry(() =>
    {
        while (pages.Count > 0 && WritePages(drain: true, pausing: false)) sync.NoteWritten();
    });

    /// <summary>Keeps checkpoints away while home is cut.</summary>
    public void While(Action action) => Hurry(action);

    /// <summary>Ends the background's work; waits for a checkpoint under way.</summary>
    public void Dispose()
    {
        lock (_wake)
        {
            _stopped = true;
            Monitor.Pulse(_wake);
        }

        _thread?.Join();
    }

    private void Work()
    {
        while (true)
        {
            lock (_wake)
            {
                while (!_requested && !_stopped) Monitor.Wait(_wake);
                if (_stopped) return;
                _requested = false;
            }

            try
            {
                lock (_running) WriteLivePages(pausing: true);
                if (FlushesItself) sync.FlushCheckpoint();
            }
            catch (StorageException e)
            {
                // The commit that finds the log full tries it itself and reports it to its caller.
                logger.LogWarning(e, "A checkpoint of '{Image}' failed and is tried again later: {Reason}", home.Name, e.Message);
            }
        }
    }

    /// <summary>Does what somebody waits for; a checkpoint under way makes no more pauses.</summary>
    private void Hurry(Action action)
    {
        Interlocked.Increment(ref _waiting);
        try
        {
            lock (_running) action();
        }
        finally
        {
            Interlocked.Decrement(ref _waiting);
        }
    }

    private void WriteLivePages(bool pausing)
    {
        ulong upTo = Applied;
        if (WritePages(drain: false, pausing)) sync.NoteWritten();
        sync.NoteCheckpoint(upTo);
        statistics.CountCheckpoint();
    }

    private bool WritePages(bool drain, bool pausing)
    {
        _numbers.Clear();
        foreach (PageStripe stripe in pages.Stripes)
        {
            lock (stripe)
            {
                foreach (OverlayPage page in stripe.Pages)
                {
                    if (drain || page.LastTxid != 0) _numbers.Add(page.Number);
                }
            }
        }

        _numbers.Sort();
        const long pagesPerRegion = PageTable.RegionBytes / OverlayPage.Size;
        int pauseAt = PagesAtOnce;
        for (int i = 0; i < _numbers.Count;)
        {
            int end = i + 1;
            while (end < _numbers.Count && _numbers[end] == _numbers[end - 1] + 1 && _numbers[end] % pagesPerRegion != 0) end++;
            WriteNeighbours(_numbers[i], _numbers[end - 1], drain);
            i = end;
            if (!pausing || i < pauseAt || Volatile.Read(ref _waiting) > 0 || Volatile.Read(ref _stopped)) continue;
            pauseAt = i + PagesAtOnce;
            Thread.Sleep(PauseMilliseconds);
        }

        return _numbers.Count > 0;
    }

    /// <summary>Pages that follow each other, of which some may have gone meanwhile.</summary>
    private void WriteNeighbours(long first, long last, bool drain)
    {
        byte[] staging = ArrayPool<byte>.Shared.Rent((int)(last - first + 1) << OverlayPage.Bits);
        PageSet there = default;
        long start = first << OverlayPage.Bits;
        PageStripe stripe = pages.StripeOf(start);
        lock (stripe)
        {
            stripe.Enter(first, last);
            for (long number = first; number <= last; number++)
            {
                if (stripe.Find(number) is not { } page) continue;
                if (drain) pages.Settle(page, page.Dirty);
                page.Bytes.CopyTo(staging.AsSpan((int)(number - first) << OverlayPage.Bits));
                there.Add((int)(number - first));
            }
        }

        try
        {
            int count = (int)(last - first + 1);
            for (int i = 0; i < count; i++)
            {
                if (!there.Has(i)) continue;
                int from = i;
                while (i < count && there.Has(i)) i++;
                Write(start + ((long)from << OverlayPage.Bits), staging.AsSpan(from << OverlayPage.Bits, (i - from) << OverlayPage.Bits));
            }

            if (drain) Release(stripe, first, last);
        }
        finally
        {
            lock (stripe) stripe.Exit(first, last);
            ArrayPool<byte>.Shared.Return(staging);
        }
    }

    private void Write(long offset, ReadOnlySpan<byte> bytes)
    {
        // The last page may reach beyond the end, which must not grow for it.
        int length = (int)Math.Min(bytes.Length, HomeLength - offset);
        if (length <= 0) return;
        home.Write(offset, bytes[..length], ContentClass.Checkpoint);
        statistics.CountCheckpointBytes(length);
    }

    private void Release(PageStripe stripe, long first, long last)
    {
        lock (stripe)
        {
            for (long number = first; number <= last; number++)
            {
                if (stripe.Find(number) is { IsIdle: true } page) pages.Remove(stripe, page);
            }
        }
    }
}
