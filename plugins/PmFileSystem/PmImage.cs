using System.Text;
using Microsoft.Extensions.Logging;
using StoragePlugins.PmFileSystem.Journal;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem;

/// <summary>An open pmfs image. Its disks are its regular files, by path.</summary>
internal sealed class PmImage(IOrderedMedium storage, PmTree tree, ILogger logger) : IDiskImage
{
    private bool _isClosed;

    public ImageDescription Description
    {
        get
        {
            Geometry geometry = tree.Volume.Region.Geometry;
            TreeStatistics statistics = tree.Statistics;
            (long records, long bytes, long checkpoints) = tree.Volume.Journal.Totals;
            return new ImageDescription("pmfs", geometry.Length,
            [
                new("id", geometry.Id.ToString()),
                new("version", (long)PmLayout.Version),
                new("persistence domain", tree.Volume.Region.Memory.Domain.ToString().ToLowerInvariant()),
                new("emulated", tree.Volume.Region.Memory.IsEmulated),
                new("free bytes", statistics.FreeBlocks * statistics.BlockSize),
                new("inodes", statistics.Nodes),
                new("free inodes", statistics.FreeNodes),
                new("journal", $"{geometry.Lanes} lanes of {geometry.LaneBytes >> 10} KiB"),
                new("records written", records),
                new("record bytes", bytes),
                new("checkpoints", checkpoints),
            ]);
        }
    }

    public IReadOnlyList<DiskEntry> ListDisks(string? after, int limit)
    {
        var files = new FileLister(tree, after ?? "", limit);
        if (limit > 0) files.Walk(tree.RootNode, "");
        return files.Found;
    }

    public IVirtualDisk OpenDisk(string name)
    {
        if (name.Length == 0)
            throw new DiagnosticException("SP3209", "a pmfs image has no disk of its own", storage.Name, fix: "name a file in it as the export, or mount the image: 'sphost mount'");
        FileError error = PathWalk.Find(tree, Encoding.UTF8.GetBytes(name), out NodeAttributes node);
        if (error == FileError.None && node.Kind == NodeKind.File) return new PmFileDisk(tree, node.Node, $"{storage.Name}:{name}");
        if (error == FileError.None) tree.Forget(node.Node, 1);
        throw new DiagnosticException("SP3021", $"the image has no file '{name}'", storage.Name, fix: "name a regular file by its path from the root");
    }

    public T? GetCapability<T>() where T : class => typeof(T) == typeof(IFileTree) ? (T)(object)tree : this as T;

    public void Close()
    {
        if (_isClosed) return;
        _isClosed = true;
        tree.Close();
        if (tree.IsReadOnly) return;
        storage.Flush();
        logger.LogDebug("{Image}: closed", storage.Name);
    }

    public void Dispose() => storage.Dispose();
}
