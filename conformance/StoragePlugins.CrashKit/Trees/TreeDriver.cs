using System.Text;

namespace StoragePlugins.CrashKit.Trees;

/// <summary>Does operations to a tree, by paths as a mount would. One a tree; not thread-safe.</summary>
internal sealed class TreeDriver(IFileTree tree)
{
    private const int MostHeld = 8;

    private readonly List<ulong> _held = [];

    /// <summary>The path of the first held node when it was held; null when nothing is.</summary>
    public string? HeldPath { get; private set; }

    /// <summary>Nodes that are held, in the order in which they were.</summary>
    public IReadOnlyList<ulong> Held => _held;

    /// <summary>Does one.</summary>
    /// <param name="operation">What.</param>
    /// <param name="number">Its number: what it writes tells it.</param>
    public FileError Do(TreeOperation operation, int number)
    {
        switch (operation.Action)
        {
            case TreeAction.ReleaseAll:
                foreach (ulong node in _held) tree.Forget(node, 1);
                _held.Clear();
                HeldPath = null;
                return FileError.None;
            case TreeAction.WriteHeld:
                return _held.Count == 0 ? FileError.NotFound : tree.Write(_held[0], operation.Offset, Stamped.Bytes(number, operation.Offset, operation.Length));
            case TreeAction.Create or TreeAction.MakeDirectory or TreeAction.SymbolicLink or TreeAction.Remove or TreeAction.RemoveDirectory:
                return WithParent(operation.Path, (parent, name) => DoName(operation, parent, name));
            case TreeAction.Rename or TreeAction.RenameKeep or TreeAction.Exchange:
                RenameMode mode = operation.Action switch { TreeAction.Rename => RenameMode.Replace, TreeAction.RenameKeep => RenameMode.Keep, _ => RenameMode.Exchange };
                return WithParent(operation.Path, (parent, name) => WithParent(operation.Other, (newParent, newName) => tree.Rename(parent, name, newParent, newName, mode)));
            case TreeAction.Hold:
                return Hold(operation.Path);
            default:
                return WithNode(operation.Path, node => DoNode(operation, node, number));
        }
    }

    private FileError Hold(string path)
    {
        if (_held.Count == MostHeld) return FileError.NoSpace;
        FileError error = Resolve(path, out ulong node);
        if (error != FileError.None) return error;
        _held.Add(node);
        HeldPath ??= path;
        return FileError.None;
    }

    private FileError DoName(TreeOperation operation, ulong parent, byte[] name)
    {
        NodeAttributes made;
        FileError error;
        switch (operation.Action)
        {
            case TreeAction.Create:
                error = tree.Create(parent, name, new NodeRequest(((uint)NodeKind.File << 12) | 0x1a4, 1000, 100), out made);
                break;
            case TreeAction.MakeDirectory:
                error = tree.Create(parent, name, new NodeRequest(((uint)NodeKind.Directory << 12) | 0x1ed, 1000, 100), out made);
                break;
            case TreeAction.SymbolicLink:
                error = tree.CreateSymbolicLink(parent, name, Encoding.Latin1.GetBytes(operation.Other), new NodeRequest(0, 1000, 100), out made);
                break;
            default:
                return operation.Action == TreeAction.Remove ? tree.Remove(parent, name) : tree.RemoveDirectory(parent, name);
        }

        if (error == FileError.None) tree.Forget(made.Node, 1);
        return error;
    }

    private FileError DoNode(TreeOperation operation, ulong node, int number)
    {
        switch (operation.Action)
        {
            case TreeAction.Link:
                return WithParent(operation.Other, (parent, name) =>
                {
                    FileError linked = tree.Link(node, parent, name, out _);
                    if (linked == FileError.None) tree.Forget(node, 1);
                    return linked;
                });
            case TreeAction.Write:
                return tree.Write(node, operation.Offset, Stamped.Bytes(number, operation.Offset, operation.Length));
            case TreeAction.Append:
                FileError known = tree.GetAttributes(node, out NodeAttributes attributes);
                return known != FileError.None ? known : tree.Append(node, Stamped.Bytes(number, attributes.Size, operation.Length), out _);
            case TreeAction.Allocate or TreeAction.AllocateKeepSize or TreeAction.PunchHole or TreeAction.ZeroRange:
                AllocationMode mode = operation.Action switch
                {
                    TreeAction.Allocate => AllocationMode.Grow,
                    TreeAction.AllocateKeepSize => AllocationMode.KeepSize,
                    TreeAction.PunchHole => AllocationMode.PunchHole,
                    _ => AllocationMode.ZeroRange,
                };
                return tree.Allocate(node, mode, operation.Offset, operation.Length);
            case TreeAction.SetAttribute:
                return tree.SetExtendedAttribute(node, Encoding.Latin1.GetBytes(operation.Other), Stamped.Bytes(number, 0, operation.Length), AttributeMode.Set);
            case TreeAction.RemoveAttribute:
                return tree.RemoveExtendedAttribute(node, Encoding.Latin1.GetBytes(operation.Other));
            case TreeAction.Closed:
                tree.Closed(node);
                return FileError.None;
            default:
                return tree.SetAttributes(node, ChangeOf(operation), out _);
        }
    }

    private static AttributeChange ChangeOf(TreeOperation operation) => operation.Action switch
    {
        TreeAction.SetSize => new AttributeChange { Size = operation.Offset },
        TreeAction.ChangeMode => new AttributeChange { Permissions = (uint)operation.Length },
        TreeAction.ChangeOwner => new AttributeChange { UserId = (uint)operation.Length, GroupId = (uint)operation.Length + 1 },
        _ => new AttributeChange { AccessTime = operation.Offset, ModificationTime = operation.Offset + 1 },
    };

    private FileError WithNode(string path, Func<ulong, FileError> work)
    {
        FileError error = Resolve(path, out ulong node);
        if (error != FileError.None) return error;
        error = work(node);
        Release(node);
        return error;
    }

    private FileError WithParent(string path, Func<ulong, byte[], FileError> work)
    {
        int slash = path.LastIndexOf('/');
        FileError error = Resolve(slash < 0 ? "" : path[..slash], out ulong parent);
        if (error != FileError.None) return error;
        error = work(parent, Encoding.Latin1.GetBytes(path[(slash + 1)..]));
        Release(parent);
        return error;
    }

    private void Release(ulong node)
    {
        if (node != tree.RootNode) tree.Forget(node, 1);
    }

    // The node is held; the root always is.
    private FileError Resolve(string path, out ulong node)
    {
        node = tree.RootNode;
        if (path.Length == 0) return FileError.None;
        foreach (string name in path.Split('/'))
        {
            FileError error = tree.Lookup(node, Encoding.Latin1.GetBytes(name), out NodeAttributes found);
            Release(node);
            if (error != FileError.None) return error;
            node = found.Node;
        }

        return FileError.None;
    }
}
