using StoragePlugins.CrashKit.Trees;

namespace StoragePlugins.CrashKit.Tests.Trees;

/// <summary>A tree that does in two steps what is one: a rename as a link and an unlink, or an append as a size and bytes.</summary>
internal sealed class TwoStepTree(ModelTree tree, ToyFault fault) : IFileTree
{
    public ulong RootNode => tree.RootNode;

    public TreeDurability Durability => tree.Durability;

    public bool IsReadOnly => tree.IsReadOnly;

    public TreeStatistics Statistics => tree.Statistics;

    public FileError Rename(ulong parent, ReadOnlySpan<byte> name, ulong newParent, ReadOnlySpan<byte> newName, RenameMode mode)
    {
        if (fault != ToyFault.RenamesInTwoSteps) return tree.Rename(parent, name, newParent, newName, mode);
        FileError found = tree.Lookup(parent, name, out NodeAttributes node);
        if (found != FileError.None || node.Kind == NodeKind.Directory || mode == RenameMode.Exchange || tree.Lookup(newParent, newName, out NodeAttributes other) == FileError.None)
            return tree.Rename(parent, name, newParent, newName, mode);
        tree.Link(node.Node, newParent, newName, out _);
        FileError removed = tree.Remove(parent, name);
        tree.Forget(node.Node, 2);
        return removed;
    }

    public FileError Lookup(ulong parent, ReadOnlySpan<byte> name, out NodeAttributes node) => tree.Lookup(parent, name, out node);

    public void Forget(ulong node, long count) => tree.Forget(node, count);

    public void Closed(ulong node) => tree.Closed(node);

    public FileError GetAttributes(ulong node, out NodeAttributes attributes) => tree.GetAttributes(node, out attributes);

    public FileError SetAttributes(ulong node, in AttributeChange change, out NodeAttributes attributes) => tree.SetAttributes(node, change, out attributes);

    public FileError Create(ulong parent, ReadOnlySpan<byte> name, in NodeRequest request, out NodeAttributes node) => tree.Create(parent, name, request, out node);

    public FileError CreateSymbolicLink(ulong parent, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, in NodeRequest request, out NodeAttributes node) =>
        tree.CreateSymbolicLink(parent, name, target, request, out node);

    public FileError ReadSymbolicLink(ulong node, Span<byte> target, out int length) => tree.ReadSymbolicLink(node, target, out length);

    public FileError Link(ulong node, ulong newParent, ReadOnlySpan<byte> newName, out NodeAttributes attributes) => tree.Link(node, newParent, newName, out attributes);

    public FileError Remove(ulong parent, ReadOnlySpan<byte> name) => tree.Remove(parent, name);

    public FileError RemoveDirectory(ulong parent, ReadOnlySpan<byte> name) => tree.RemoveDirectory(parent, name);

    public FileError Read(ulong node, long offset, Span<byte> buffer, out int read) => tree.Read(node, offset, buffer, out read);

    public FileError Write(ulong node, long offset, ReadOnlySpan<byte> data) => tree.Write(node, offset, data);

    public FileError Append(ulong node, ReadOnlySpan<byte> data, out long offset)
    {
        if (fault != ToyFault.GrowsBeforeItWrites || tree.GetAttributes(node, out NodeAttributes before) != FileError.None) return tree.Append(node, data, out offset);
        offset = before.Size;
        FileError grown = tree.SetAttributes(node, new AttributeChange { Size = before.Size + data.Length }, out _);
        return grown == FileError.None ? tree.Write(node, offset, data) : grown;
    }

    public FileError Allocate(ulong node, AllocationMode mode, long offset, long length) => tree.Allocate(node, mode, offset, length);

    public FileError Seek(ulong node, long offset, bool forHole, out long found) => tree.Seek(node, offset, forHole, out found);

    public FileError Flush(ulong node) => tree.Flush(node);

    public FileError ReadDirectory(ulong node, ulong cursor, IDirectoryVisitor visitor) => tree.ReadDirectory(node, cursor, visitor);

    public FileError GetParent(ulong node, out ulong parent) => tree.GetParent(node, out parent);

    public FileError GetExtendedAttribute(ulong node, ReadOnlySpan<byte> name, Span<byte> value, out int length) => tree.GetExtendedAttribute(node, name, value, out length);

    public FileError SetExtendedAttribute(ulong node, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, AttributeMode mode) => tree.SetExtendedAttribute(node, name, value, mode);

    public FileError ListExtendedAttributes(ulong node, Span<byte> names, out int length) => tree.ListExtendedAttributes(node, names, out length);

    public FileError RemoveExtendedAttribute(ulong node, ReadOnlySpan<byte> name) => tree.RemoveExtendedAttribute(node, name);
}
