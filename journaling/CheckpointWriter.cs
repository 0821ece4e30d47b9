namespace StoragePlugins.Journaling;

/// <summary>Writes copies of pages home, neighbours together. Used by one thread at a time.</summary>
internal sealed class CheckpointWriter(IOrderedMedium home)
{
    /// <summary>Copies held at once: large enough for one device request, small enough that writers rarely wait for a page in it.</summary>
    private const int BatchBytes = 1 << 20;

    private readonly byte[] _copies = new byte[BatchBytes];
    private readonly List<(long Offset, int Start, int Length)> _runs = [];
    private readonly List<HomePage> _inBatch = [];
    private int _used;

    /// <summary>Writes what the pages hold. When it returns their <see cref="HomePage.WrittenVersion"/> says what is home.</summary>
    public void Write(List<(long Offset, HomePage Page)> pages)
    {
        try
        {
            foreach ((long offset, HomePage page) in pages)
            {
                if (_used + HomePage.Bytes > BatchBytes) WriteBatch();
                while (!TryCopy(offset, page))
                {
                    // Somebody's write supersedes it: let go of what others may be waiting for, then wait for that write. It is home before this
                    // checkpoint ends, and so before the flush that lets the page's record be forgotten.
                    WriteBatch();
                    WaitUntilSuperseded(offset, page);
                }
            }

            WriteBatch();
        }
        finally
        {
            EndBatch();
        }
    }

    private static void WaitUntilSuperseded(long offset, HomePage page)
    {
        lock (page)
        {
            while (page.Offset == offset && page.IsBeingSuperseded) Monitor.Wait(page);
        }
    }

    private bool TryCopy(long offset, HomePage page)
    {
        lock (page)
        {
            if (page.Offset != offset) return true;
            if (page.IsBeingSuperseded) return false;
            int start = 0;
            while (HomePage.NextRun(page.Valid, ref start, out int length))
            {
                page.Content(start, length).CopyTo(_copies.AsSpan(_used));
                Add(offset + start, length);
                start += length;
            }

            page.IsBeingWritten = true;
            page.WrittenVersion = page.Version;
            _inBatch.Add(page);
            return true;
        }
    }

    private void Add(long offset, int length)
    {
        if (_runs.Count > 0 && _runs[^1].Offset + _runs[^1].Length == offset) _runs[^1] = _runs[^1] with { Length = _runs[^1].Length + length };
        else _runs.Add((offset, _used, length));
        _used += length;
    }

    private void WriteBatch()
    {
        foreach ((long offset, int start, int length) in _runs) home.Write(offset, _copies.AsSpan(start, length), ContentClass.Checkpoint);
        EndBatch();
    }

    private void EndBatch()
    {
        foreach (HomePage page in _inBatch)
        {
            lock (page)
            {
                page.IsBeingWritten = false;
                Monitor.PulseAll(page);
            }
        }

        _inBatch.Clear();
        _runs.Clear();
        _used = 0;
    }
}
