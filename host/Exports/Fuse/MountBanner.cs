using StoragePlugins.Host.Commands;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>What <c>mount</c> prints when programs can use the files.</summary>
internal static class MountBanner
{
    /// <summary>Writes it. The directory stands alone at the end of its line, for scripts.</summary>
    public static void Write(CommandOutput output, MountedImage mounted, MountPoint point, IEnumerable<string> monitoring)
    {
        PipelineDefinition p = mounted.Image.Pipeline;
        output.WriteLine($"{mounted.Image.Path}: {Quantities.FormatSize(mounted.Image.Image.Description.VirtualSize)} {p.Format.Id}, pipeline {p.Name} "
            + $"({p.Format.Id} → {p.Journal.Id} → {p.Ordering.Id} → {string.Join(" → ", p.Media.Select(m => m.Id))}){(mounted.Tree.Tree.IsReadOnly ? ", read-only" : "")}");
        foreach (string reason in mounted.Image.UnsafeReasons) output.WriteLine($"UNSAFE: {reason}");
        output.WriteLine(Promise(mounted.Tree));
        output.WriteLine($"mounted on: {point.Path}");
        foreach (string line in monitoring) output.WriteLine(line);
        output.WriteLine($"stop: Ctrl-C, SIGTERM or fusermount3 -u {point.Path}");
    }

    private static string Promise(MountedTree tree) => (tree.IsDurableOnReturn, tree.HasWritebackCache) switch
    {
        (true, false) => "durable: what was written, when the write returns",
        (true, true) => "UNSAFE: written pages wait in the kernel until fsync, against what this file system promises (--writeback-cache=on)",
        (false, _) => "durable: what was written, after fsync",
    };
}
