using StoragePlugins.Qcow2.Header;
using StoragePlugins.Qcow2.Metadata;

namespace StoragePlugins.Qcow2.Data;

/// <summary>
/// Adaptive preallocation (Chen et al., FAST '16): while a guest appends sequentially, runs of clusters ahead of it are zero-filled and mapped, so that
/// its next writes change no metadata and do not make the host's file grow, which would cost the host a journal commit of its own at each flush.
/// </summary>
/// <remarks>
/// <para>A thread fills fresh space at the end of the image with zeros, then maps it, in one step, behind the place that the stream has reached. A crash
/// leaves clusters of zeros that the guest sees as what they were; a clean close takes back what was not written.</para>
/// <para>Bounds: <see cref="MaxStreams"/> streams, each at most one run in the making and two mapped; what streams that ended left is taken back when there
/// are more than <see cref="MaxRuns"/>; a run doubles from <see cref="FirstRunBytes"/> to the option's size. Fresh space only, and only where no backing file shows through: nothing that a guest could read changes.</para>
/// </remarks>
internal sealed class AppendAhead : IDisposable
{
    /// <summary>Guests append to few files at once; a further stream takes the place of the one longest idle.</summary>
    private const int MaxStreams = 4;

    /// <summary>Clusters in a row that make a stream: fewer would be met by small files.</summary>
    private const int ClustersOfAStream = 4;

    private const long FirstRunBytes = 1 << 20;

    /// <summary>With a pause between pieces half a gigabyte a second, more than a guest appends that flushes after each write.</summary>
    private const long PieceBytes = 512 << 10;
    private const int PauseMilliseconds = 1;

    /// <summary>A run is prepared only where so many of its size are free.</summary>
    private const int RoomToLeave = 8;

    /// <summary>What streams in use can have mapped, and as many runs of streams that ended: each taking back stops the disk for a moment.</summary>
    private const int MaxRuns = 4 * MaxStreams;

    private readonly Qcow2Header _header;
    private readonly object _metadataLock;
    private readonly IPreallocatingMedium _medium;
    private readonly MapTables _maps;
    private readonly ClusterAllocator _allocator;
    private readonly ClusterReader _reader;
    private readonly ClusterRemapper _remapper;
    private readonly AllocationGate _gate;
    private readonly Committer _committer;
    private readonly RequestEpochs _epochs;
    private readonly int _largestRun;
    private readonly AppendStream[] _streams = [.. Enumerable.Range(0, MaxStreams).Select(_ => new AppendStream())];
    private readonly Queue<AppendStream> _due = new(MaxStreams);
    private volatile MappedRun[] _runs = [];
    private Thread? _thread;
    private bool _stopping;
    private long _clock;

    public AppendAhead(
        Qcow2Header header, object metadataLock, IPreallocatingMedium medium, MapTables maps, ClusterAllocator allocator, ClusterReader reader,
        ClusterRemapper remapper, AllocationGate gate, Committer committer, RequestEpochs epochs, long largestRunBytes)
    {
        (_header, _metadataLock, _medium, _maps, _allocator, _reader) = (header, metadataLock, medium, maps, allocator, reader);
        (_remapper, _gate, _committer, _epochs) = (remapper, gate, committer, epochs);
        _largestRun = (int)Math.Max(1, largestRunBytes >> header.ClusterBits);
    }

    /// <summary>A guest write gave these clusters, from <paramref name="first"/> up to <paramref name="end"/>, hosts of their own.</summary>
    public void Allocated(long first, long end)
    {
        lock (_due)
        {
            AppendStream stream = _streams[0];
            foreach (AppendStream candidate in _streams)
            {
                if (candidate.Next == first)
                {
                    stream = candidate;
                    break;
                }

                if (candidate.LastUse < stream.LastUse) stream = candidate;
            }

            if (stream.Next != first)
            {
                if (stream.IsDue) return;
                stream.Restart();
            }

            stream.Seen += (int)Math.Min(end - first, ClustersOfAStream);
            stream.Next = end;
            stream.LastUse = ++_clock;
            if (stream.Seen >= ClustersOfAStream) MakeDue(stream);
        }
    }

    /// <summary>A request writes or remaps these clusters: what was mapped ahead there is the guest's from now on. Called for every one, before it ends.</summary>
    public void Touched(long first, long end)
    {
        MappedRun[] runs = _runs;
        if (runs.Length == 0) return;
        foreach (MappedRun run in runs)
        {
            if (first >= run.End || end <= run.First || !run.Advance(Math.Min(end, run.End))) continue;
            lock (_due)
            {
                if (run.IsSpent) _runs = [.. _runs.Where(r => r != run)];
                if (run.IsAbandoned) continue;
                AppendStream stream = run.Stream;
                stream.LastUse = ++_clock;
                stream.Next = Math.Max(stream.Next, Math.Min(end, run.End));
                if (run.End == stream.MappedEnd && run.Next - run.First >= (run.End - run.First) / 4) MakeDue(stream);
            }
        }
    }

    /// <summary>Whether a cluster was mapped ahead and never written, so that it holds zeros and no data; and how many from it on are alike.</summary>
    public (bool Unwritten, long Clusters) Describe(long cluster)
    {
        long alike = long.MaxValue;
        foreach (MappedRun run in _runs)
        {
            long next = run.Next;
            if (cluster >= next && cluster < run.End) return (true, run.End - cluster);
            if (next > cluster && next < run.End) alike = Math.Min(alike, next - cluster);
        }

        return (false, alike);
    }

    /// <summary>Ends the thread; nothing is mapped ahead any more. Before the disk is quiesced.</summary>
    public void Stop()
    {
        Thread? thread;
        lock (_due)
        {
            _stopping = true;
            thread = _thread;
            Monitor.PulseAll(_due);
        }

        thread?.Join();
    }

    /// <summary>Takes back what was mapped ahead and never written. The disk is quiesced; the caller commits.</summary>
    public void TakeBack()
    {
        foreach (MappedRun run in _runs) TakeBack(run);
        _runs = [];
    }

    /// <summary>Takes back what was mapped ahead and never written, because the map is about to become another one; streams go on where the guest
    /// is. The disk is quiesced; the caller commits.</summary>
    public void TakeBackForControl()
    {
        TakeBack();
        lock (_due)
        {
            // A run that is being filled is mapped right behind the stream then.
            foreach (AppendStream stream in _streams) stream.MappedEnd = 0;
        }
    }

    public void Dispose() => Stop();

    private void TakeBack(MappedRun run)
    {
        for (long cluster = run.Next; cluster < run.End; cluster++)
        {
            L2Slice slice = _remapper.PinWritable(cluster);
            try
            {
                lock (_metadataLock)
                {
                    if (slice[(int)cluster & (slice.Count - 1)] == run.EntryOf(cluster, _header.ClusterBits)) _remapper.Replace(slice, cluster, 0, punch: true);
                }
            }
            finally
            {
                _maps.Cache.Unpin(slice);
            }
        }
    }

    /// <summary>Takes back what streams that ended left unwritten.</summary>
    private void TakeBackAbandoned()
    {
        _committer.MakeRoom();
        // A request may have found a cluster mapped and not have said yet that it writes there.
        using RequestEpochs.Quiesced quiet = _epochs.Quiesce();
        MappedRun[] abandoned;
        lock (_due) abandoned = [.. _runs.Where(static r => r.IsAbandoned)];
        foreach (MappedRun run in abandoned) TakeBack(run);
        lock (_due) _runs = [.. _runs.Except(abandoned)];
    }

    /// <summary>Under the lock.</summary>
    private void MakeDue(AppendStream stream)
    {
        // Who orders by barriers is served better by new clusters, which nobody sees before a commit, than by writes in place.
        if (stream.IsDue || _stopping || _committer.Order.IsUsed) return;
        stream.IsDue = true;
        _due.Enqueue(stream);
        if (_thread is null)
        {
            _thread = new Thread(Work) { IsBackground = true, Name = "qcow2 preallocation" };
            _thread.Start();
        }

        Monitor.PulseAll(_due);
    }

    private void Work()
    {
        while (true)
        {
            AppendStream stream;
            lock (_due)
            {
                while (_due.Count == 0 && !_stopping) Monitor.Wait(_due);
                if (_stopping) return;
                stream = _due.Dequeue();
            }

            bool useful = false;
            try
            {
                if (_runs.Length >= MaxRuns) TakeBackAbandoned();
                useful = PrepareRun(stream);
            }
            catch (StorageException)
            {
                // No space, or a device that fails: the guest's own writes will say so where it matters. No further attempt.
                lock (_due) _stopping = true;
            }
            finally
            {
                lock (_due)
                {
                    if (!useful) stream.Restart();
                    stream.IsDue = false;
                }
            }
        }
    }

    /// <summary>Fills fresh clusters with zeros and maps them behind the stream.</summary>
    /// <returns>False when there is nothing to map there.</returns>
    private bool PrepareRun(AppendStream stream)
    {
        int run = (int)Math.Min(Math.Max(stream.LastRun * 2L, Math.Max(1, FirstRunBytes >> _header.ClusterBits)), _largestRun);
        int wanted = (int)Math.Min(run, UnallocatedAhead(stream));
        // What is taken ahead must not be what somebody needs now.
        if (wanted == 0 || _medium.FreeBytes / RoomToLeave < (long)wanted << _header.ClusterBits) return false;
        long host;
        int count;
        lock (_metadataLock) host = _allocator.ReserveFresh(wanted, out count);
        int mapped = 0;
        try
        {
            if (TryFill(stream, host << _header.ClusterBits, (long)count << _header.ClusterBits))
            {
                _committer.MakeRoom();
                using (_epochs.Enter()) mapped = Map(stream, host, count);
            }
        }
        finally
        {
            if (mapped < count)
            {
                lock (_metadataLock) _allocator.Cancel(host + mapped, count - mapped);
            }
        }

        stream.LastRun = run;
        return mapped > 0;
    }

    /// <summary>Fills a range with zeros, a piece at a time: a flush of the guest waits for what is on its way, and all of a run at once would be milliseconds.</summary>
    /// <returns>False when it was stopped.</returns>
    private bool TryFill(AppendStream stream, long offset, long length)
    {
        for (long done = 0; done < length; done += PieceBytes)
        {
            bool isAhead;
            lock (_due)
            {
                if (_stopping) return false;
                isAhead = stream.MappedEnd - stream.Next > (FirstRunBytes >> _header.ClusterBits);
            }

            // Not when the guest is about to leave what was prepared.
            if (isAhead && done > 0) Thread.Sleep(PauseMilliseconds);
            _medium.Preallocate(offset + done, Math.Min(PieceBytes, length - done));
        }

        return true;
    }

    /// <summary>How many clusters can be mapped behind the stream: in one slice of its L2 table, unallocated, no backing file below.</summary>
    private long UnallocatedAhead(AppendStream stream)
    {
        long first;
        lock (_due) first = Math.Max(stream.Next, stream.MappedEnd);
        long sliceEnd = (first | (uint)(_maps.Cache.EntriesPerSlice - 1)) + 1;
        long end = Math.Min(sliceEnd, _header.Size >> _header.ClusterBits);
        if (first >= end) return 0;
        using RequestEpochs.Request request = _epochs.Enter();
        _reader.TryDescribe(_maps.L1, first << _header.ClusterBits, (end - first) << _header.ClusterBits, mayWait: true, out ClusterReader.Run run);
        return run.Kind == ClusterKind.Unallocated && !_reader.HasBackingAt(first << _header.ClusterBits) ? run.Length >> _header.ClusterBits : 0;
    }

    private int Map(AppendStream stream, long host, int count)
    {
        while (true)
        {
            long first;
            lock (_due) first = Math.Max(stream.Next, stream.MappedEnd);
            long sliceEnd = (first | (uint)(_maps.Cache.EntriesPerSlice - 1)) + 1;
            long end = Math.Min(Math.Min(sliceEnd, first + count), _header.Size >> _header.ClusterBits);
            if (first >= end) return 0;
            using AllocationGate.Pass pass = _gate.Enter(first, end - 1);
            L2Slice slice = _remapper.PinWritable(first);
            try
            {
                lock (_metadataLock)
                {
                    lock (_due)
                    {
                        // The stream went on while this waited: try again behind it.
                        if (Math.Max(stream.Next, stream.MappedEnd) != first) continue;
                        end = EndOfUnallocated(slice, first, end);
                        if (end == first) return 0;
                        // Before the first entry can be seen: whoever writes through one finds its run.
                        _runs = [.. _runs, new MappedRun(stream, first, end, host)];
                        stream.MappedEnd = end;
                    }

                    Record(slice, first, end, host);
                }

                return (int)(end - first);
            }
            finally
            {
                _maps.Cache.Unpin(slice);
            }
        }
    }

    private long EndOfUnallocated(L2Slice slice, long first, long end)
    {
        for (long c = first; c < end; c++)
        {
            if (slice[(int)c & (slice.Count - 1)] != 0 || _reader.HasBackingAt(c << _header.ClusterBits)) return c;
        }

        return end;
    }

    private void Record(L2Slice slice, long first, long end, long host)
    {
        for (long c = first; c < end; c++)
        {
            _remapper.MapReserved(slice, c, host + (c - first));
        }

        _committer.Publish(new PublishedExtent(host << _header.ClusterBits, (end - first) << _header.ClusterBits, PriorContent.Zeros));
    }
}
