using System.Collections.Concurrent;

namespace StoragePlugins.SimulatedMedia;

/// <summary>A sparse image in memory: pages that were never written, or were given back, take no space and read as zeros.</summary>
/// <remarks>Thread-safe. Overlapping writes in flight land in any order, byte by byte.</remarks>
internal sealed class MemoryImage(string name)
{
    /// <summary>The unit of allocation: qcow2's usual cluster, and small enough to stay off the large object heap.</summary>
    public const int PageBytes = 64 << 10;

    private readonly ConcurrentDictionary<long, byte[]> _pages = new();
    private long _length;
    private long _used;

    /// <summary>Its name.</summary>
    public string Name => name;

    /// <summary>Bytes from start to end, holes included.</summary>
    public long Length => Volatile.Read(ref _length);

    /// <summary>Bytes of memory that its pages take.</summary>
    public long UsedBytes => Volatile.Read(ref _used);

    /// <summary>The most of <see cref="UsedBytes"/>.</summary>
    public long Limit { get; set; } = long.MaxValue;

    /// <summary>Whether a page takes memory.</summary>
    public bool IsAllocated(long page) => _pages.ContainsKey(page);

    /// <summary>Reads to the end of the buffer or of the image.</summary>
    public int Read(long offset, Span<byte> buffer)
    {
        int there = (int)Math.Clamp(Length - offset, 0, buffer.Length);
        buffer = buffer[..there];
        while (buffer.Length > 0)
        {
            (long page, int start, int count) = Locate(offset, buffer.Length);
            if (_pages.TryGetValue(page, out byte[]? bytes)) bytes.AsSpan(start, count).CopyTo(buffer);
            else buffer[..count].Clear();
            buffer = buffer[count..];
            offset += count;
        }

        return there;
    }

    /// <summary>Writes and grows.</summary>
    public void Write(long offset, ReadOnlySpan<byte> data)
    {
        long end = offset + data.Length;
        while (data.Length > 0)
        {
            (long page, int start, int count) = Locate(offset, data.Length);
            data[..count].CopyTo(Page(page).AsSpan(start));
            data = data[count..];
            offset += count;
        }

        Grow(end);
    }

    /// <summary>Makes a range read as zeros; whole pages of it take no memory afterwards.</summary>
    public void Deallocate(long offset, long length)
    {
        for (long end = Math.Min(offset + length, Length); offset < end;)
        {
            (long page, int start, int count) = Locate(offset, end - offset);
            if (count == PageBytes) Drop(page);
            else if (_pages.TryGetValue(page, out byte[]? bytes)) bytes.AsSpan(start, count).Clear();
            offset += count;
        }
    }

    /// <summary>Makes a range read as zeros and take memory. Grows.</summary>
    public void Allocate(long offset, long length)
    {
        long end = offset + length;
        while (offset < end)
        {
            (long page, int start, int count) = Locate(offset, end - offset);
            Page(page).AsSpan(start, count).Clear();
            offset += count;
        }

        Grow(end);
    }

    /// <summary>Cuts or extends.</summary>
    public void SetLength(long length)
    {
        long before = Length;
        if (length < before)
        {
            long whole = (length + PageBytes - 1) / PageBytes;
            Deallocate(length, (whole * PageBytes) - length);
            foreach (long page in _pages.Keys)
            {
                if (page >= whole) Drop(page);
            }
        }

        Volatile.Write(ref _length, length);
    }

    /// <summary>Extends the image when it ends before this.</summary>
    public void Grow(long end)
    {
        long seen = Volatile.Read(ref _length);
        while (end > seen)
        {
            long before = Interlocked.CompareExchange(ref _length, end, seen);
            if (before == seen) return;
            seen = before;
        }
    }

    private static (long Page, int Start, int Count) Locate(long offset, long length)
    {
        (long page, long start) = Math.DivRem(offset, PageBytes);
        return (page, (int)start, (int)Math.Min(PageBytes - start, length));
    }

    private byte[] Page(long page)
    {
        while (true)
        {
            if (_pages.TryGetValue(page, out byte[]? bytes)) return bytes;
            if (Interlocked.Add(ref _used, PageBytes) > Limit)
            {
                Interlocked.Add(ref _used, -PageBytes);
                throw new StorageException(StorageError.NoSpace, "write", name, page * PageBytes, PageBytes, $"the image may take no more than {Limit} bytes of memory (option 'limit')");
            }

            bytes = new byte[PageBytes];
            if (_pages.TryAdd(page, bytes)) return bytes;
            Interlocked.Add(ref _used, -PageBytes);
        }
    }

    private void Drop(long page)
    {
        if (_pages.TryRemove(page, out _)) Interlocked.Add(ref _used, -PageBytes);
    }
}
