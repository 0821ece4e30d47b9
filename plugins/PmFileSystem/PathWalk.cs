namespace StoragePlugins.PmFileSystem;

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
