namespace StoragePlugins.Qcow2.Tests.Disk;

/// <summary>Keeps the image in memory and logs writes and syncs.</summary>
internal sealed class RecordingMedium(byte[] start) : IOrderedMedium
{
    private const int Sector = 512;

    private byte[] _bytes = [.. start];

    public byte[] Now => [.. _bytes];

    /// <summary>A write, a sync (no data), or a change of length (no data, offset below zero: its complement).</summary>
    public List<(long Offset, byte[]? Data)> Events { get; } = [];

    public bool IgnoreSyncs { get; init; }

    public string Name => "memory";

    public long Length => _bytes.Length;

    public bool IsReadOnly => false;

    public int Read(long offset, Span<byte> buffer)
    {
        lock (Events) return ReadLocked(offset, buffer);
    }

    private int ReadLocked(long offset, Span<byte> buffer)
    {
        int there = (int)Math.Clamp(_bytes.Length - offset, 0, buffer.Length);
        if (there > 0) _bytes.AsSpan((int)offset, there).CopyTo(buffer);
        return there;
    }

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        lock (Events)
        {
            Events.Add((offset, data.ToArray()));
            if (offset + data.Length > _bytes.Length) Array.Resize(ref _bytes, (int)(offset + data.Length));
            data.CopyTo(_bytes.AsSpan((int)offset));
        }
    }

    public void SetLength(long length)
    {
        lock (Events)
        {
            Events.Add((~length, null));
            Array.Resize(ref _bytes, (int)length);
        }
    }

    public void Barrier()
    {
        if (IgnoreSyncs) return;
        lock (Events) Events.Add((0, null));
    }

    public void Flush() => Barrier();

    public T? GetCapability<T>() where T : class => null;

    public void Dispose()
    {
    }

    /// <summary>A state that a power cut after <paramref name="cut"/> events can leave: 0 in order, 1 sectors at random, 2 whole writes at random.</summary>
    public byte[] StateAt(byte[] start, int cut, int variant, Random random)
    {
        int durable = cut;
        while (durable > 0 && !(Events[durable - 1].Data is null && Events[durable - 1].Offset >= 0)) durable--;
        byte[] state = [.. start];
        for (int i = 0; i < cut; i++)
        {
            (long offset, byte[]? data) = Events[i];
            if (data is null && offset < 0 && (i < durable || variant == 0 || random.Next(2) == 0)) Array.Resize(ref state, (int)~offset);
            if (data is null) continue;
            if (offset + data.Length > state.Length) Array.Resize(ref state, (int)(offset + data.Length));
            bool whole = i < durable || variant == 0 || (variant == 2 && random.Next(2) == 0);
            if (whole) data.CopyTo(state, offset);
            else if (variant == 1) CopySomeSectors(state, offset, data, random);
        }

        return state;
    }

    private static void CopySomeSectors(byte[] state, long offset, byte[] data, Random random)
    {
        for (long at = offset; at < offset + data.Length;)
        {
            long end = Math.Min(offset + data.Length, (at / Sector * Sector) + Sector);
            if (random.Next(2) == 0) data.AsSpan((int)(at - offset), (int)(end - at)).CopyTo(state.AsSpan((int)at));
            at = end;
        }
    }
}
