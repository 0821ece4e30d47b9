namespace StoragePlugins.PmJournal.Tests;

/// <summary>A site whose mark is as durable as a test wants it.</summary>
internal sealed class MarkedSite(string name) : IJournalSite, IInUseMark
{
    /// <summary>Called before the mark changes; throws to stop there.</summary>
    public Action<string>? Before { get; set; }

    public bool HasMark { get; init; } = true;

    public string ImageName => name;

    public Guid ImageId { get; set; }

    public ulong Epoch { get; set; }

    public bool IsReadOnly { get; init; }

    public ReadOnlyMemory<byte>? Payload { get; set; }

    public bool IsHome(long offset, long length) => offset >= 0;

    public void Set(ReadOnlySpan<byte> payload)
    {
        Before?.Invoke("set");
        if (ImageId == Guid.Empty) ImageId = Guid.NewGuid();
        Epoch++;
        Payload = payload.ToArray();
    }

    public void Clear()
    {
        Before?.Invoke("clear");
        (Payload, ImageId) = (null, Guid.Empty);
    }

    /// <summary>The image as another process opens it.</summary>
    public MarkedSite Reopened(bool readOnly = false) => new(name) { ImageId = ImageId, Epoch = Epoch, Payload = Payload is { } payload ? payload.ToArray() : default(ReadOnlyMemory<byte>?), IsReadOnly = readOnly };

    public T? GetCapability<T>() where T : class => typeof(T) == typeof(IInUseMark) && !HasMark ? null : this as T;
}
