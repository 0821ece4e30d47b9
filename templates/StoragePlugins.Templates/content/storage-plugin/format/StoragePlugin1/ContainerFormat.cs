using System.Composition;
using StoragePlugins;

namespace StoragePluginNamespace;

/// <summary>A container of fixed size: a header, then the disk's bytes. It has no metadata that changes, so it opens no journal.</summary>
[Export(typeof(IBlockFormat))]
[Strategy(Id, Summary = "a header, then the disk's bytes", Options = typeof(FormatOptions))]
public sealed class ContainerFormat : IBlockFormat
{
    internal const string Id = "plugin-id-token";

    /// <inheritdoc/>
    public FormatMatch Probe(IStorageMedium medium) => ContainerHeader.Read(medium) is null ? FormatMatch.No : FormatMatch.Certain;

    /// <inheritdoc/>
    public void Create(IStorageMedium medium, CreateRequest request, StrategyContext context)
    {
        if (request.BackingFile is not null) throw new DiagnosticException("PLUGIN2001", "an image of this format cannot have a backing file", medium.Name);
        long dataOffset = context.Options<FormatOptions>().DataOffset;
        if (dataOffset % ContainerHeader.Alignment != 0)
            throw new DiagnosticException("PLUGIN2002", "the option dataOffset is out of range", medium.Name, $"a multiple of {ContainerHeader.Alignment}", $"{dataOffset}");
        if (request.Size < 0 || request.Size > long.MaxValue - ContainerHeader.MaxDataOffset)
            throw new DiagnosticException("PLUGIN2003", "the size is out of range", medium.Name, $"0 to {long.MaxValue - ContainerHeader.MaxDataOffset} bytes", $"{request.Size}");
        medium.SetLength(0);
        medium.SetLength(dataOffset + request.Size);
        new ContainerHeader(request.Size, dataOffset).Write(medium);
    }

    /// <inheritdoc/>
    public IDiskImage Open(OpenRequest request, StrategyContext context)
    {
        ContainerHeader header = ContainerHeader.Read(request.Storage)
            ?? throw new DiagnosticException("PLUGIN2004", "the image has no header that can be read", request.Storage.Name, fix: "name the pipeline of its own format");
        long end = header.DataOffset + header.Size;
        if (request.Storage.Length < end)
            throw new DiagnosticException("PLUGIN2005", "the image was cut", request.Storage.Name, $"{end} bytes", $"{request.Storage.Length}", "restore it from a copy");
        return new ContainerImage(request.Storage, header, request.ReadOnly);
    }
}
