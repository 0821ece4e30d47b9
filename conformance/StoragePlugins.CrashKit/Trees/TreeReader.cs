using System.Text;
using StoragePlugins.CrashKit.Checking;

namespace StoragePlugins.CrashKit.Trees;

/// <summary>Reads a whole tree through its contract, and checks on the way what every tree shows: entries once, kinds and parents that agree.</summary>
internal static class TreeReader
{
    /// <summary>Deeper than any workload goes: a tree that leads here has a loop.</summary>
    private const int MostDepth = 64;

    /// <summary>More than any workload makes.</summary>
    private const int MostNodes = 10_000;

    /// <summary>Up to here a file is read from end to end; larger ones by what <see cref="IFileTree.Seek"/> says is there.</summary>
    private const long MostReadWhole = 256 << 10;

    // A state has many nodes and there are many states.
    [ThreadStatic]
    private static byte[]? t_buffer;

    private static byte[] Buffer => t_buffer ??= new byte[64 << 10];

    /// <summary>Reads it.</summary>
    /// <exception cref="InvariantBrokenException">It makes no sense.</exception>
    public static TreeView Read(IFileTree tree)
    {
        var view = new TreeView(new SortedDictionary<string, NodeView>(StringComparer.Ordinal));
        Visit(tree, view, new Dictionary<ulong, NodeView>(), "", tree.RootNode, tree.RootNode, 0);
        return view;
    }

    private static void Visit(IFileTree tree, TreeView view, Dictionary<ulong, NodeView> seen, string path, ulong number, ulong parent, int depth)
    {
        if (depth > MostDepth || seen.Count > MostNodes) throw Wrong($"the tree does not end: {TreeView.Text(path)}");
        bool isNew = !seen.TryGetValue(number, out NodeView? node);
        if (isNew) seen.Add(number, node = ReadNode(tree, path, number));
        view.Paths.Add(path, node!);
        if (node!.Attributes.Kind != NodeKind.Directory) return;
        if (!isNew) throw Wrong($"the directory '{TreeView.Text(path)}' has two names");
        Demand(tree.GetParent(number, out ulong named), "GetParent", path);
        if (named != parent) throw Wrong($"the directory '{TreeView.Text(path)}' names {named} as its parent, and is in {parent}");
        var entries = new Entries();
        Demand(tree.ReadDirectory(number, 0, entries), "ReadDirectory", path);
        foreach ((string name, ulong child, NodeKind kind) in entries.All)
        {
            string at = path.Length == 0 ? name : $"{path}/{name}";
            if (view.Paths.ContainsKey(at)) throw Wrong($"'{TreeView.Text(at)}' is listed twice");
            Demand(tree.Lookup(number, Encoding.Latin1.GetBytes(name), out NodeAttributes found), "Lookup", at);
            if (found.Node != child || found.Kind != kind) throw Wrong($"'{TreeView.Text(at)}' is listed as node {child} ({kind}) and found as node {found.Node} ({found.Kind})");
            try
            {
                Visit(tree, view, seen, at, child, number, depth + 1);
            }
            finally
            {
                tree.Forget(child, 1);
            }
        }
    }

    /// <summary>Reads one node.</summary>
    public static NodeView ReadNode(IFileTree tree, string path, ulong number)
    {
        Demand(tree.GetAttributes(number, out NodeAttributes attributes), "GetAttributes", path);
        byte[] target = [];
        if (attributes.Kind == NodeKind.SymbolicLink)
        {
            byte[] buffer = Buffer;
            Demand(tree.ReadSymbolicLink(number, buffer, out int length), "ReadSymbolicLink", path);
            target = buffer[..length];
        }

        return new NodeView
        {
            Attributes = attributes, Target = target, Extended = ReadExtended(tree, path, number),
            Content = attributes.Kind == NodeKind.File ? ReadContent(tree, path, number, attributes.Size) : new SparseContent(),
        };
    }

    private static SparseContent ReadContent(IFileTree tree, string path, ulong number, long size)
    {
        var content = new SparseContent();
        byte[] buffer = Buffer;
        for (long at = 0; at < size;)
        {
            long end = size;
            if (size > MostReadWhole)
            {
                FileError error = tree.Seek(number, at, forHole: false, out at);
                if (error == FileError.NoData) break;
                Demand(error, "Seek", path);
                Demand(tree.Seek(number, at, forHole: true, out end), "Seek", path);
            }

            for (; at < end; at += buffer.Length)
            {
                int wanted = (int)Math.Min(buffer.Length, end - at);
                Demand(tree.Read(number, at, buffer.AsSpan(0, wanted), out int read), "Read", path);
                if (read != wanted) throw Wrong($"'{TreeView.Text(path)}': {read} bytes read at {at} of {size}, {wanted} expected");
                content.Write(at, buffer.AsSpan(0, wanted));
            }

            at = end;
        }

        return content;
    }

    private static SortedDictionary<string, byte[]> ReadExtended(IFileTree tree, string path, ulong number)
    {
        var all = new SortedDictionary<string, byte[]>(StringComparer.Ordinal);
        byte[] value = Buffer;
        Demand(tree.ListExtendedAttributes(number, value, out int length), "ListExtendedAttributes", path);
        foreach (string name in Encoding.Latin1.GetString(value, 0, length).Split('\0', StringSplitOptions.RemoveEmptyEntries))
        {
            Demand(tree.GetExtendedAttribute(number, Encoding.Latin1.GetBytes(name), value, out int bytes), "GetExtendedAttribute", path);
            if (!all.TryAdd(name, value[..bytes])) throw Wrong($"'{TreeView.Text(path)}' lists the attribute '{name}' twice");
        }

        return all;
    }

    private static void Demand(FileError error, string call, string path)
    {
        if (error != FileError.None) throw Wrong($"{call} of '{TreeView.Text(path)}' answers {error}");
    }

    private static InvariantBrokenException Wrong(string what) => new(Invariant.I8MetadataAgree, what);

    private sealed class Entries : IDirectoryVisitor
    {
        public List<(string Name, ulong Node, NodeKind Kind)> All { get; } = [];

        public bool Visit(ReadOnlySpan<byte> name, ulong node, NodeKind kind, ulong next)
        {
            All.Add((Encoding.Latin1.GetString(name), node, kind));
            return All.Count <= MostNodes;
        }
    }
}
