using System.Composition;
using System.Text;
using StoragePlugins;

namespace Samples.FixedContainer;

/// <summary>A container of fixed size: two headers, then the disk's bytes. Nothing but the disk changes, so no journal is opened.</summary>
[Export(typeof(IBlockFormat))]
[Strategy(Id, Summary = "two headers, then the disk's bytes", Options = typeof(ContainerOptions))]
public sealed class FixedContainer : IBlockFormat, ICheckingFormat
{
    internal const string Id = "container";

    /// <inheritdoc/>
    public FormatMatch Probe(IStorageMedium medium) => ContainerHeader.Read(medium) is null ? FormatMatch.No : FormatMatch.Certain;

    /// <inheritdoc/>
    public void Create(IStorageMedium medium, CreateRequest request, StrategyContext context)
    {
        if (request.BackingFile is not null) throw new DiagnosticException("CONTAINER1001", "a container cannot have a backing file", medium.Name, fix: "use --format qcow2");
        if (request.Size is < 0 or > ContainerHeader.MaxSize)
            throw new DiagnosticException("CONTAINER1002", "the size is out of range", medium.Name, $"0 to {ContainerHeader.MaxSize} bytes", $"{request.Size}");
        string label = context.Options<ContainerOptions>().Label;
        if (Encoding.UTF8.GetByteCount(label) > ContainerHeader.MaxLabelBytes)
            throw new DiagnosticException("CONTAINER1003", "the label is too long", medium.Name, $"{ContainerHeader.MaxLabelBytes} bytes of UTF-8", $"{Encoding.UTF8.GetByteCount(label)}");
        var header = new ContainerHeader(request.Size, label);
        medium.SetLength(0);
        medium.SetLength(header.End);
        header.Write(medium);
    }

    /// <inheritdoc/>
    public IDiskImage Open(OpenRequest request, StrategyContext context)
    {
        ContainerHeader header = Header(request.Storage);
        if (request.Storage.Length < header.End)
            throw new DiagnosticException("CONTAINER1004", "the image was cut", request.Storage.Name, $"{header.End} bytes", $"{request.Storage.Length}", "restore it from a copy");
        return new ContainerImage(request.Storage, header, request.ReadOnly);
    }

    /// <inheritdoc/>
    /// <remarks>Nothing can leak, and only a header can be mended: from the other one.</remarks>
    public CheckReport Check(IStorageMedium medium, RepairMode repair, StrategyContext context)
    {
        ContainerHeader header = Header(medium);
        var findings = new List<string>();
        int mended = 0;
        foreach (long at in (ReadOnlySpan<long>)[0, ContainerHeader.CopyAt])
        {
            if (ContainerHeader.Read(medium, at) == header) continue;
            findings.Add($"the header at byte {at} is damaged or another than the first valid one");
            if (repair != RepairMode.All) continue;
            header.Write(medium, at);
            mended++;
        }

        bool isCut = medium.Length < header.End;
        if (isCut) findings.Add($"the image has {medium.Length} bytes of {header.End}");
        int corruptions = findings.Count - mended;
        return new CheckReport(corruptions, 0, mended, 0, findings, Math.Max(0, Math.Min(medium.Length, header.End) - ContainerHeader.DataAt), header.End);
    }

    private static ContainerHeader Header(IStorageMedium medium) => ContainerHeader.Read(medium)
        ?? throw new DiagnosticException("CONTAINER1005", "the image has no header that can be read", medium.Name, fix: "name the pipeline of its own format");
}
