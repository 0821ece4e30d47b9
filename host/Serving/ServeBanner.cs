using System.Net;
using System.Net.Sockets;
using StoragePlugins.Host.Commands;
using StoragePlugins.Host.Exports.Nbd;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Serving;

/// <summary>What <c>serve</c> prints when clients can connect: the disks, their URIs, and a line to paste.</summary>
internal static class ServeBanner
{
    /// <summary>Writes it. The URI of each export stands alone at the end of its line, for scripts.</summary>
    public static void Write(CommandOutput output, ServedDisks disks, EndPoint endPoint, string? control, IEnumerable<string> monitoring)
    {
        foreach (OpenedImage image in disks.Images)
        {
            PipelineDefinition p = image.Pipeline;
            output.WriteLine($"{image.Path}: {Quantities.FormatSize(image.Image.Description.VirtualSize)} {p.Format.Id}, pipeline {p.Name} "
                + $"({p.Format.Id} → {p.Journal.Id} → {p.Ordering.Id} → {string.Join(" → ", p.Media.Select(m => m.Id))}){(image.IsReadOnly ? ", read-only" : "")}");
            foreach (string reason in image.UnsafeReasons) output.WriteLine($"UNSAFE: {reason}");
        }

        foreach (NbdExport export in disks.Exports) output.WriteLine($"export {(export.Name.Length == 0 ? "(default)" : export.Name)}: {UriOf(endPoint, export.Name)}");
        output.WriteLine($"try:  nbdinfo '{UriOf(endPoint, disks.Exports[0].Name)}'");
        output.WriteLine($"      qemu-system-x86_64 -drive 'file={UriOf(endPoint, disks.Exports[0].Name)},format=raw,if=virtio' …");
        if (control is not null) output.WriteLine($"ask:  sphost disk list --control {control}");
        foreach (string line in monitoring) output.WriteLine(line);
        output.WriteLine("stop: Ctrl-C or SIGTERM");
    }

    private static string UriOf(EndPoint endPoint, string export)
    {
        string name = Uri.EscapeDataString(export);
        return endPoint switch
        {
            UnixDomainSocketEndPoint unix => $"nbd+unix:///{name}?socket={Uri.EscapeDataString(unix.ToString()!).Replace("%2F", "/", StringComparison.Ordinal)}",
            _ => $"nbd://{endPoint}/{name}",
        };
    }
}
