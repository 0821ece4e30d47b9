using System.Composition;

namespace StoragePlugins.Raw;

/// <summary>The raw format: the disk's bytes are the medium's bytes.</summary>
[Export(typeof(IBlockFormat))]
[Strategy("raw", Summary = "the disk's bytes as they are, no metadata")]
public sealed class RawFormat : IBlockFormat
{
    /// <inheritdoc/>
    public FormatMatch Probe(IStorageMedium medium) => FormatMatch.Possible;

    /// <inheritdoc/>
    public void Create(IStorageMedium medium, CreateRequest request, StrategyContext context)
    {
        if (request.Size < 0) throw new DiagnosticException("SP3012", "the size is out of range", medium.Name, "0 or more bytes", request.Size.ToString());
        if (request.BackingFile is not null)
            throw new DiagnosticException("SP3013", "a raw image cannot have a backing file", medium.Name, fix: "use --format qcow2");
        medium.SetLength(0);
        medium.SetLength(request.Size);
    }

    /// <inheritdoc/>
    public IDiskImage Open(OpenRequest request, StrategyContext context) => new RawImage(request.Storage, request.ReadOnly);
}
