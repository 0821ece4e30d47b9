namespace StoragePlugins.PmJournal.Tests.Session;

/// <summary>A disk with a volatile cache: until a flush any subset of the sectors written since the last one may have persisted, a sector written twice with
/// either content.</summary>
internal sealed class CrashHome(byte[] content) : IOrderedMedium
{
    public const int Sector = 512;

    private readonly byte[] _now = [.. content];
    private readonly byte[] _sure = [.. content];
    private readonly List<(long Sector, byte[] Content)> _pending = [];

    /// <summary>Called at the moments at which a power cut may come.</summary>
    public Action? Moment { get; set; }

    /// <summary>A flush that does nothing: a mutant.</summary>
    public bool IgnoresFlushes { get; set; }

    /// <summary>Called before a write; throws to make it fail.</summary>
    public Action<long, ContentClass>? BeforeWrite { get; set; }

    /// <summary>Makes every flush fail.</summary>
    public bool FailsFlushes { get; set; }

    public int Flushes { get; private set; }

    public List<ContentClass> Writes { get; } = [];

    public string Name => "home";

    public long Length => _now.Length;

    public bool IsReadOnly { get; init; }

    public int Read(long offset, Span<byte> buffer)
    {
        lock (_pending) _now.AsSpan((int)offset, buffer.Length).CopyTo(buffer);
        return buffer.Length;
    }

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        BeforeWrite?.Invoke(offset, content);
        lock (_pending)
        {
            Writes.Add(content);
            data.CopyTo(_now.AsSpan((int)offset));
            for (long sector = offset / Sector; sector <= (offset + data.Length - 1) / Sector; sector++)
                _pending.Add((sector, _now.AsSpan((int)sector * Sector, Sector).ToArray()));
        }

        Moment?.Invoke();
    }

    public void SetLength(long length) => throw new NotSupportedException();

    public void Barrier() => Flush();

    public void Flush()
    {
        if (FailsFlushes) throw new DurabilityLostException("flush", Name, "test");
        Moment?.Invoke();
        Flushes++;
        if (!IgnoresFlushes) Settle();
        Moment?.Invoke();
    }

    public void Settle()
    {
        lock (_pending)
        {
            foreach ((long sector, byte[] bytes) in _pending) bytes.CopyTo(_sure, sector * Sector);
            _pending.Clear();
        }
    }

    /// <summary>What a power cut at this moment leaves, one of many.</summary>
    public byte[] Crash(Random random)
    {
        double share = random.Next(4) switch { 0 => 0, 1 => 1, _ => random.NextDouble() };
        byte[] left = [.. _sure];
        foreach ((long sector, byte[] bytes) in _pending)
        {
            if (random.NextDouble() < share) bytes.CopyTo(left, sector * Sector);
        }

        return left;
    }

    public T? GetCapability<T>() where T : class => this as T;

    public void Dispose()
    {
    }
}
