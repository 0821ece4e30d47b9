namespace StoragePlugins.PmJournal.Session;

/// <summary>An image opened for reading only, as a recovery would leave it: reads are home's with the records' after-images over them.</summary>
internal sealed class ReplayedHome(IOrderedMedium home) : IOrderedMedium
{
    private const int RegionShift = 16;

    private readonly Dictionary<long, List<(long Offset, byte[] Bytes)>> _regions = [];
    private long _end;

    public string Name => home.Name;

    public long Length => Math.Max(home.Length, _end);

    public bool IsReadOnly => true;

    /// <summary>Lays an image over what is there. Not while others read.</summary>
    public void Add(long offset, ReadOnlySpan<byte> image)
    {
        byte[] bytes = image.ToArray();
        _end = Math.Max(_end, offset + bytes.Length);
        for (long region = offset >> RegionShift; region <= (offset + bytes.Length - 1) >> RegionShift; region++)
        {
            if (!_regions.TryGetValue(region, out List<(long, byte[])>? images)) _regions[region] = images = [];
            images.Add((offset, bytes));
        }
    }

    public int Read(long offset, Span<byte> buffer)
    {
        int there = (int)Math.Clamp(Length - offset, 0, buffer.Length);
        int got = home.Read(offset, buffer[..there]);
        buffer[got..there].Clear();
        if (there == 0) return 0;
        for (long region = offset >> RegionShift; region <= (offset + there - 1) >> RegionShift; region++)
        {
            if (!_regions.TryGetValue(region, out List<(long Offset, byte[] Bytes)>? images)) continue;
            // In the order of the records: the later one wins.
            foreach ((long at, byte[] bytes) in images)
            {
                long from = Math.Max(at, offset), to = Math.Min(at + bytes.Length, offset + there);
                if (from < to) bytes.AsSpan((int)(from - at), (int)(to - from)).CopyTo(buffer[(int)(from - offset)..]);
            }
        }

        return there;
    }

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content) => throw ReadOnly("write", offset, data.Length);

    public void SetLength(long length) => throw ReadOnly("resize", length, 0);

    public void Barrier()
    {
    }

    public void Flush()
    {
    }

    // Everything else would read past the images.
    public T? GetCapability<T>() where T : class => null;

    public void Dispose()
    {
    }

    private StorageException ReadOnly(string operation, long offset, long length) => new(StorageError.ReadOnly, operation, Name, offset, length, "it was opened for reading");
}
