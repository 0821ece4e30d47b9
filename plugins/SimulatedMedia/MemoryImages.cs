namespace StoragePlugins.SimulatedMedia;

/// <summary>The images in memory of this process, by name. An image is used by one writer or by any number of readers.</summary>
/// <remarks>Thread-safe. An empty image that nobody uses any more is forgotten.</remarks>
internal sealed class MemoryImages
{
    /// <summary>Names are kept until the image is emptied; this many are a leak.</summary>
    public const int MaxImages = 256;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, (MemoryImage Image, int Readers, bool HasWriter)> _images = new(StringComparer.Ordinal);

    /// <summary>Those of the process.</summary>
    public static MemoryImages Shared { get; } = new();

    /// <summary>Number of images.</summary>
    public int Count
    {
        get
        {
            lock (_lock) return _images.Count;
        }
    }

    /// <summary>Opens an image; to be given back by <see cref="Release"/>.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="create">Make it when there is none.</param>
    /// <param name="readOnly">For reading, beside other readers.</param>
    /// <param name="limit">Bytes of memory that it may take from now on.</param>
    /// <exception cref="DiagnosticException">SP5040 there is none; SP5041 it is in use; SP5042 there are too many.</exception>
    public MemoryImage Open(string name, bool create, bool readOnly, long limit)
    {
        lock (_lock)
        {
            if (!_images.TryGetValue(name, out var entry))
            {
                if (!create) throw new DiagnosticException("SP5040", "there is no image of this name in this process's memory", name, fix: "make it in the same process: serve it with --size");
                if (_images.Count >= MaxImages)
                    throw new DiagnosticException("SP5042", "there are too many images in memory", name, $"at most {MaxImages}", fix: "empty those that are no longer needed");
                entry = (new MemoryImage(name), 0, false);
            }

            if (entry.HasWriter || (!readOnly && entry.Readers > 0))
                throw new DiagnosticException("SP5041", "the image in memory is in use", name, fix: "close its other user first");
            entry.Image.Limit = limit;
            _images[name] = readOnly ? entry with { Readers = entry.Readers + 1 } : entry with { HasWriter = true };
            return entry.Image;
        }
    }

    /// <summary>Ends a use.</summary>
    public void Release(MemoryImage image, bool readOnly)
    {
        lock (_lock)
        {
            var entry = _images[image.Name];
            entry = readOnly ? entry with { Readers = entry.Readers - 1 } : entry with { HasWriter = false };
            if (entry is { Readers: 0, HasWriter: false } && image.Length == 0) _images.Remove(image.Name);
            else _images[image.Name] = entry;
        }
    }
}
