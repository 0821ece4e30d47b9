namespace StoragePlugins.Host.Pipelines;

/// <summary>A pipeline whose strategies are constructed and whose options are bound, for one image.</summary>
/// <remarks>Disposing it lets go of its services, unless an image was opened: then that owns them.</remarks>
internal sealed class PreparedPipeline(AssembledPipeline assembled, PipelineDefinition definition, StorageMeter meter, IReadOnlyList<string> unsafeReasons, IDisposable services) : IDisposable
{
    private bool _isOpen;

    /// <summary>Which strategies.</summary>
    public PipelineDefinition Definition => definition;

    /// <summary>Opens the image; once.</summary>
    /// <exception cref="DiagnosticException">It cannot be opened; another attempt may be made.</exception>
    public OpenedImage Open(string path, bool readOnly)
    {
        ObjectDisposedException.ThrowIf(_isOpen, this);
        var opened = new OpenedImage(assembled.Open(path, readOnly), meter, definition, path, readOnly, unsafeReasons, services);
        _isOpen = true;
        return opened;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_isOpen) services.Dispose();
    }
}
