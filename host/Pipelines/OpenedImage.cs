namespace StoragePlugins.Host.Pipelines;

/// <summary>An image that a pipeline has open.</summary>
/// <remarks><see cref="Close"/> is the clean end. <see cref="Dispose"/> alone abandons the image as a crash would.</remarks>
internal sealed class OpenedImage : IDisposable
{
    private readonly IDisposable _services;

    internal OpenedImage(IDiskImage image, StorageMeter meter, PipelineDefinition pipeline, string path, bool isReadOnly, IReadOnlyList<string> unsafeReasons, IDisposable services)
    {
        Image = image;
        Meter = meter;
        Pipeline = pipeline;
        Path = path;
        IsReadOnly = isReadOnly;
        UnsafeReasons = unsafeReasons;
        _services = services;
    }

    /// <summary>The image and its disks.</summary>
    public IDiskImage Image { get; }

    /// <summary>What the image costs; the export counts the guest's side.</summary>
    public StorageMeter Meter { get; }

    /// <summary>The pipeline that holds it.</summary>
    public PipelineDefinition Pipeline { get; }

    /// <summary>The image's path as given.</summary>
    public string Path { get; }

    /// <summary>Opened for reading.</summary>
    public bool IsReadOnly { get; }

    /// <summary>Why acknowledged data can be lost; to be shown wherever the pipeline is. Empty for a safe pipeline.</summary>
    public IReadOnlyList<string> UnsafeReasons { get; }

    /// <summary>Commits, checkpoints and lets go. Durable on return.</summary>
    public void Close()
    {
        Image.Close();
        Dispose();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Image.Dispose();
        _services.Dispose();
    }
}
