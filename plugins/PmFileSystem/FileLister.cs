using System.Text;

namespace StoragePlugins.PmFileSystem;

/// <summary>Lists regular files by path, in ordinal order, from behind a path on.</summary>
/// <param name="tree">The tree.</param>
/// <param name="after">Files behind this path; empty for all.</param>
/// <param name="limit">At most so many, 1 or more.</param>
internal sealed class FileLister(PmTree tree, string after, int limit)
{
    /// <summary>Deeper ones are not listed; they can be opened.</summary>
    private const int MostDepth = 64;

    /// <summary>What was found so far.</summary>
    public List<DiskEntry> Found { get; } = [];

    /// <summary>One directory and what is below it.</summary>
    /// <returns>False when there is no room for more.</returns>
    public bool Walk(ulong directory, string path, int depth = 0)
    {
        var here = new Entries();
        tree.ReadDirectory(directory, 0, here);
        here.All.Sort(static (a, b) => string.CompareOrdinal(a.Key, b.Key));
        foreach ((string key, ulong node, NodeKind kind) in here.All)
        {
            string full = path + key;
            if (kind == NodeKind.Directory)
            {
                bool mayFollow = string.CompareOrdinal(full, after) > 0 || after.StartsWith(full, StringComparison.Ordinal);
                if (mayFollow && depth < MostDepth && !Walk(node, full, depth + 1)) return false;
                continue;
            }

            if (string.CompareOrdinal(full, after) <= 0 || tree.GetAttributes(node, out NodeAttributes attributes) != FileError.None) continue;
            Found.Add(new DiskEntry(full, attributes.Size, tree.IsReadOnly, ""));
            if (Found.Count == limit) return false;
        }

        return true;
    }

    private sealed class Entries : IDirectoryVisitor
    {
        /// <summary>Files and directories. A directory stands where its files do: its key ends with the slash.</summary>
        public List<(string Key, ulong Node, NodeKind Kind)> All { get; } = [];

        public bool Visit(ReadOnlySpan<byte> name, ulong node, NodeKind kind, ulong next)
        {
            if (kind is NodeKind.File or NodeKind.Directory) All.Add((Encoding.UTF8.GetString(name) + (kind == NodeKind.Directory ? "/" : ""), node, kind));
            return true;
        }
    }
}
