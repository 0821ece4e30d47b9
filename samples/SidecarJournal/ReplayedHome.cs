using StoragePlugins;

namespace Samples.SidecarJournal;

/// <summary>An image opened for reading only, as it would be after the replay that may not be written.</summary>
internal sealed class ReplayedHome : IOrderedMedium
{
    private readonly IOrderedMedium _home;
    private readonly (LoggedImage Image, int Order)[] _byOffset;
    private readonly int _longest;

    public ReplayedHome(IOrderedMedium home, LoggedImage[] images)
    {
        _home = home;
        _byOffset = [.. images.Select((image, order) => (image, order)).OrderBy(one => one.image.Offset).ThenBy(one => one.order)];
        _longest = images.Select(image => image.Bytes.Length).DefaultIfEmpty(0).Max();
        Length = Math.Max(home.Length, images.Select(image => image.Offset + image.Bytes.Length).DefaultIfEmpty(0).Max());
    }

    public string Name => _home.Name;

    public long Length { get; }

    public bool IsReadOnly => true;

    public int Read(long offset, Span<byte> buffer)
    {
        int there = (int)Math.Clamp(Length - offset, 0, buffer.Length);
        buffer = buffer[..there];
        buffer[_home.Read(offset, buffer)..].Clear();
        var touching = new List<(LoggedImage Image, int Order)>();
        for (int i = FirstFrom(offset - _longest); i < _byOffset.Length && _byOffset[i].Image.Offset < offset + there; i++) touching.Add(_byOffset[i]);
        // As a replay would write them: the later one wins.
        foreach ((LoggedImage image, _) in touching.OrderBy(one => one.Order))
        {
            long start = Math.Max(image.Offset, offset), end = Math.Min(image.Offset + image.Bytes.Length, offset + there);
            if (start < end) image.Bytes.Span[(int)(start - image.Offset)..(int)(end - image.Offset)].CopyTo(buffer[(int)(start - offset)..]);
        }

        return there;
    }

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content) => throw Refused("write", offset, data.Length);

    public void SetLength(long length) => throw Refused("set the length", length, 0);

    public void Barrier() => throw Refused("barrier", -1, 0);

    public void Flush() => throw Refused("flush", -1, 0);

    // Whatever reads past this object would see the image before the replay.
    public T? GetCapability<T>() where T : class => null;

    public void Dispose()
    {
    }

    private int FirstFrom(long offset)
    {
        int low = 0, high = _byOffset.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_byOffset[middle].Image.Offset < offset) low = middle + 1;
            else high = middle;
        }

        return low;
    }

    private StorageException Refused(string operation, long offset, long length) => new(StorageError.ReadOnly, operation, Name, offset, length, "the image is open for reading only");
}
