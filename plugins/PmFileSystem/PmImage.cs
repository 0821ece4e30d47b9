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
        var found = new List<DiskEntry>();
        if (limit > 0) new FileLister(tree, after ?? "", limit, found).Walk(tree.RootNode, "");
        return found;
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

/// <summary>Lists regular files by path, in ordinal order, from behind a path on.</summary>
internal sealed class FileLister(PmTree tree, string after, int limit, List<DiskEntry> found) : IDirectoryVisitor
{
    /// <summary>Deeper ones are not listed; they can be opened.</summary>
    private const int MostDepth = 64;

    private readonly List<(string Key, ulong Node, NodeKind Kind)> _entries = [];

    /// <summary>One directory and what is below it.</summary>
    /// <returns>False when there is no room for more.</returns>
    public bool Walk(ulong directory, string path, int depth = 0)
    {
        var here = new FileLister(tree, after, limit, found);
        tree.ReadDirectory(directory, 0, here);
        // A directory stands where its files do: its key ends with the slash.
        here._entries.Sort(static (a, b) => string.CompareOrdinal(a.Key, b.Key));
        foreach ((string key, ulong node, NodeKind kind) in here._entries)
        {
            string full = path + key;
            if (kind == NodeKind.Directory)
            {
                bool mayFollow = string.CompareOrdinal(full, after) > 0 || after.StartsWith(full, StringComparison.Ordinal);
                if (mayFollow && depth < MostDepth && !Walk(node, full, depth + 1)) return false;
                continue;
            }

            if (string.CompareOrdinal(full, after) <= 0 || tree.GetAttributes(node, out NodeAttributes attributes) != FileError.None) continue;
            found.Add(new DiskEntry(full, attributes.Size, tree.IsReadOnly, ""));
            if (found.Count == limit) return false;
        }

        return true;
    }

    public bool Visit(ReadOnlySpan<byte> name, ulong node, NodeKind kind, ulong next)
    {
        if (kind is NodeKind.File or NodeKind.Directory) _entries.Add((Encoding.UTF8.GetString(name) + (kind == NodeKind.Directory ? "/" : ""), node, kind));
        return true;
    }
}

/// <summary>Finds nodes by path.</summary>
internal static class PathWalk
{
    /// <summary>The node at a path from the root, held. Symbolic links are not followed, empty parts and a leading slash mean nothing.</summary>
    public static FileError Find(PmTree tree, ReadOnlySpan<byte> path, out NodeAttributes node)
    {
        FileError error = tree.GetAttributes(tree.RootNode, out node);
        ulong at = tree.RootNode;
        while (error == FileError.None && NextPart(ref path) is { IsEmpty: false } part)
        {
            error = tree.Lookup(at, part, out node);
            if (at != tree.RootNode) tree.Forget(at, 1);
            at = node.Node;
        }

        return error;
    }

    /// <summary>Takes the next name off a path; empty at its end.</summary>
    public static ReadOnlySpan<byte> NextPart(ref ReadOnlySpan<byte> path)
    {
        path = path.TrimStart((byte)'/');
        int end = path.IndexOf((byte)'/');
        ReadOnlySpan<byte> part = end < 0 ? path : path[..end];
        path = path[part.Length..];
        return part;
    }
}
