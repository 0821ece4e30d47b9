using System.Text;

namespace StoragePlugins.CrashKit.Trees;

/// <summary>
/// What <see cref="IFileTree"/> promises, as simple as it can be said: in memory, under one lock. What trees are held against, and what the kit's own tests make
/// durable in ways good and bad.
/// </summary>
internal sealed partial class ModelTree : IFileTree
{
    public const long MostFileBytes = 1L << 44;
    private const ulong Root = 1;
    private const int MostNameBytes = 255, MostTargetBytes = 4095;

    private readonly Lock _gate = new();
    private readonly Dictionary<ulong, ModelNode> _nodes = [];
    private readonly Action? _changed;
    private ulong _nextNode = Root + 1;
    private ulong _nextCursor = 1;
    private long _now;

    /// <summary>An empty tree.</summary>
    /// <param name="changed">Called, under the lock, after every change and before its call returns.</param>
    public ModelTree(Action? changed = null)
    {
        _changed = changed;
        _nodes[Root] = new ModelNode(Root, (uint)NodeKind.Directory << 12 | 0x1ed) { Links = 2, Parent = Root };
    }

    /// <summary>A tree of nodes that were kept. Those without names are gone, and nothing is held.</summary>
    public ModelTree(IEnumerable<ModelNode> nodes, Action? changed)
    {
        _changed = changed;
        foreach (ModelNode node in nodes.Where(node => node.Links > 0))
        {
            node.Held = 0;
            _nodes.Add(node.Number, node);
            _nextNode = Math.Max(_nextNode, node.Number + 1);
            _now = Math.Max(_now, node.ChangeTime);
            foreach ((_, ulong cursor) in node.Entries.Values) _nextCursor = Math.Max(_nextCursor, cursor + 1);
        }
    }

    public ulong RootNode => Root;

    public TreeDurability Durability => TreeDurability.OnReturn;

    public bool IsReadOnly { get; init; }

    public TreeStatistics Statistics => new(SparseContent.PageBytes, 1 << 20, 1 << 19, 1 << 20, 1 << 19, MostNameBytes);

    /// <summary>The nodes, held ones without names included.</summary>
    public IReadOnlyCollection<ModelNode> Nodes => _nodes.Values;

    public FileError Lookup(ulong parent, ReadOnlySpan<byte> name, out NodeAttributes node)
    {
        node = default;
        lock (_gate)
        {
            FileError error = Find(parent, name, out ModelNode? found);
            if (error != FileError.None) return error;
            found!.Held++;
            node = found.Describe();
            return FileError.None;
        }
    }

    public void Forget(ulong node, long count)
    {
        lock (_gate)
        {
            if (!_nodes.TryGetValue(node, out ModelNode? found)) return;
            found.Held = Math.Max(0, found.Held - count);
            if (IsReadOnly || found.Held > 0 || found.Links > 0) return;
            _nodes.Remove(node);
            Changed();
        }
    }

    public void Closed(ulong node)
    {
    }

    public FileError GetAttributes(ulong node, out NodeAttributes attributes)
    {
        lock (_gate)
        {
            attributes = _nodes.TryGetValue(node, out ModelNode? found) ? found.Describe() : default;
            return found is null ? FileError.Stale : FileError.None;
        }
    }

    public FileError GetParent(ulong node, out ulong parent)
    {
        lock (_gate)
        {
            parent = _nodes.TryGetValue(node, out ModelNode? found) ? found.Parent : 0;
            return found is null ? FileError.Stale : found.IsDirectory ? FileError.None : FileError.NotDirectory;
        }
    }

    public FileError SetAttributes(ulong node, in AttributeChange change, out NodeAttributes attributes)
    {
        attributes = default;
        lock (_gate)
        {
            if (!_nodes.TryGetValue(node, out ModelNode? found)) return FileError.Stale;
            if (IsReadOnly) return FileError.ReadOnly;
            if (change.Size is { } size)
            {
                if (found.Kind != NodeKind.File) return found.IsDirectory ? FileError.IsDirectory : FileError.InvalidArgument;
                if (size is < 0 or > MostFileBytes) return size < 0 ? FileError.InvalidArgument : FileError.FileTooLarge;
                if (size < found.Size) found.Content.Clear(size, found.Size - size);
                found.Size = size;
                found.ModificationTime = Now();
            }

            if (change.Permissions is { } permissions) found.Mode = (found.Mode & ~0xfffu) | (permissions & 0xfff);
            found.UserId = change.UserId ?? found.UserId;
            found.GroupId = change.GroupId ?? found.GroupId;
            found.AccessTime = change.AccessTime ?? found.AccessTime;
            found.ModificationTime = change.ModificationTime ?? found.ModificationTime;
            found.ChangeTime = Now();
            attributes = found.Describe();
            Changed();
            return FileError.None;
        }
    }

    public FileError Create(ulong parent, ReadOnlySpan<byte> name, in NodeRequest request, out NodeAttributes node)
    {
        node = default;
        if (!Enum.IsDefined((NodeKind)(request.Mode >> 12)) || (NodeKind)(request.Mode >> 12) == NodeKind.SymbolicLink) return FileError.InvalidArgument;
        return Make(parent, name, request, [], out node);
    }

    public FileError CreateSymbolicLink(ulong parent, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, in NodeRequest request, out NodeAttributes node)
    {
        node = default;
        if (target.IsEmpty || target.Contains((byte)0)) return FileError.InvalidArgument;
        if (target.Length > MostTargetBytes) return FileError.NameTooLong;
        return Make(parent, name, request with { Mode = ((uint)NodeKind.SymbolicLink << 12) | 0x1ff }, target, out node);
    }

    public FileError ReadSymbolicLink(ulong node, Span<byte> target, out int length)
    {
        length = 0;
        lock (_gate)
        {
            if (!_nodes.TryGetValue(node, out ModelNode? found)) return FileError.Stale;
            if (found.Kind != NodeKind.SymbolicLink) return FileError.InvalidArgument;
            length = found.Target.Length;
            return found.Target.AsSpan().TryCopyTo(target) ? FileError.None : FileError.BufferTooSmall;
        }
    }

    public FileError Link(ulong node, ulong newParent, ReadOnlySpan<byte> newName, out NodeAttributes attributes)
    {
        attributes = default;
        lock (_gate)
        {
            FileError error = FindRoom(newParent, newName, out ModelNode? directory);
            if (error != FileError.None) return error;
            if (!_nodes.TryGetValue(node, out ModelNode? found)) return FileError.Stale;
            if (found.IsDirectory) return FileError.NotPermitted;
            if (found.Links == 0) return FileError.NotFound;
            Put(directory!, newName, found);
            found.Links++;
            found.Held++;
            found.ChangeTime = Now();
            attributes = found.Describe();
            Changed();
            return FileError.None;
        }
    }

    public FileError Remove(ulong parent, ReadOnlySpan<byte> name) => Remove(parent, name, isDirectory: false);

    public FileError RemoveDirectory(ulong parent, ReadOnlySpan<byte> name) => Remove(parent, name, isDirectory: true);

    public FileError Rename(ulong parent, ReadOnlySpan<byte> name, ulong newParent, ReadOnlySpan<byte> newName, RenameMode mode)
    {
        lock (_gate)
        {
            FileError error = Find(parent, name, out ModelNode? moved);
            if (error != FileError.None) return error;
            error = Find(newParent, newName, out ModelNode? other);
            if (error is not (FileError.None or FileError.NotFound)) return error;
            if (!_nodes.TryGetValue(newParent, out ModelNode? to) || to.Links == 0) return FileError.NotFound;
            if (other is null && mode == RenameMode.Exchange) return FileError.NotFound;
            ModelNode from = _nodes[parent];
            if (IsBelow(moved!, to) || (mode == RenameMode.Exchange && IsBelow(other!, from))) return FileError.InvalidArgument;
            if (other is not null && mode == RenameMode.Keep) return FileError.Exists;
            if (other == moved) return FileError.None;
            if (other is not null && mode == RenameMode.Replace)
            {
                if (other.IsDirectory && !moved!.IsDirectory) return IsBelow(other, from) ? FileError.NotEmpty : FileError.IsDirectory;
                if (!other.IsDirectory && moved!.IsDirectory) return FileError.NotDirectory;
                if (other.Entries.Count > 0) return FileError.NotEmpty;
            }

            if (IsReadOnly) return FileError.ReadOnly;
            Take(from, name, moved!);
            if (other is not null) Take(to, newName, other);
            Put(to, newName, moved!);
            moved!.ChangeTime = Now();
            if (mode == RenameMode.Exchange) Put(from, name, other!);
            else if (other is not null) DropName(other);
            Changed();
            return FileError.None;
        }
    }

    public FileError Flush(ulong node) => FileError.None;

    public FileError ReadDirectory(ulong node, ulong cursor, IDirectoryVisitor visitor)
    {
        lock (_gate)
        {
            if (!_nodes.TryGetValue(node, out ModelNode? directory)) return FileError.Stale;
            if (!directory.IsDirectory) return FileError.NotDirectory;
            foreach ((string name, (ulong found, ulong at)) in directory.Entries.Where(entry => entry.Value.Cursor > cursor).OrderBy(entry => entry.Value.Cursor))
            {
                if (!visitor.Visit(Encoding.Latin1.GetBytes(name), found, _nodes[found].Kind, at)) break;
            }

            return FileError.None;
        }
    }

    private static FileError Judge(ReadOnlySpan<byte> name)
    {
        if (name.Length > MostNameBytes) return FileError.NameTooLong;
        return name.IsEmpty || name.ContainsAny((byte)0, (byte)'/') || name.SequenceEqual("."u8) || name.SequenceEqual(".."u8) ? FileError.InvalidArgument : FileError.None;
    }

    private long Now() => ++_now;

    private void Changed() => _changed?.Invoke();

    private FileError Find(ulong parent, ReadOnlySpan<byte> name, out ModelNode? found)
    {
        found = null;
        if (!_nodes.TryGetValue(parent, out ModelNode? directory)) return FileError.Stale;
        if (!directory.IsDirectory) return FileError.NotDirectory;
        FileError error = Judge(name);
        if (error != FileError.None) return error;
        if (!directory.Entries.TryGetValue(Encoding.Latin1.GetString(name), out (ulong Node, ulong) entry)) return FileError.NotFound;
        found = _nodes[entry.Node];
        return FileError.None;
    }

    // A directory in which a new name may be made.
    private FileError FindRoom(ulong parent, ReadOnlySpan<byte> name, out ModelNode? directory)
    {
        FileError error = Find(parent, name, out _);
        directory = error is FileError.NotFound ? _nodes[parent] : null;
        if (error == FileError.None) return FileError.Exists;
        if (error != FileError.NotFound) return error;
        return directory!.Links == 0 ? FileError.NotFound : IsReadOnly ? FileError.ReadOnly : FileError.None;
    }

    private FileError Make(ulong parent, ReadOnlySpan<byte> name, in NodeRequest request, ReadOnlySpan<byte> target, out NodeAttributes node)
    {
        node = default;
        lock (_gate)
        {
            FileError error = FindRoom(parent, name, out ModelNode? directory);
            if (error != FileError.None) return error;
            var made = new ModelNode(_nextNode++, request.Mode) { UserId = request.UserId, GroupId = request.GroupId, Device = request.Device, Target = target.ToArray(), Size = target.Length, Held = 1 };
            made.AccessTime = made.ModificationTime = made.ChangeTime = made.BirthTime = Now();
            if (made.IsDirectory) made.Links = 2;
            _nodes.Add(made.Number, made);
            Put(directory!, name, made);
            node = made.Describe();
            Changed();
            return FileError.None;
        }
    }

    private FileError Remove(ulong parent, ReadOnlySpan<byte> name, bool isDirectory)
    {
        lock (_gate)
        {
            FileError error = Find(parent, name, out ModelNode? found);
            if (error != FileError.None) return error;
            if (found!.IsDirectory != isDirectory) return isDirectory ? FileError.NotDirectory : FileError.IsDirectory;
            if (found.Entries.Count > 0) return FileError.NotEmpty;
            if (IsReadOnly) return FileError.ReadOnly;
            Take(_nodes[parent], name, found);
            DropName(found);
            Changed();
            return FileError.None;
        }
    }

    private void Put(ModelNode directory, ReadOnlySpan<byte> name, ModelNode node)
    {
        directory.Entries.Add(Encoding.Latin1.GetString(name), (node.Number, _nextCursor++));
        directory.ModificationTime = directory.ChangeTime = Now();
        if (!node.IsDirectory) return;
        directory.Links++;
        node.Parent = directory.Number;
    }

    private void Take(ModelNode directory, ReadOnlySpan<byte> name, ModelNode node)
    {
        directory.Entries.Remove(Encoding.Latin1.GetString(name));
        directory.ModificationTime = directory.ChangeTime = Now();
        if (node.IsDirectory) directory.Links--;
    }

    private void DropName(ModelNode node)
    {
        node.Links = node.IsDirectory ? 0 : node.Links - 1;
        node.ChangeTime = Now();
        if (node.Links == 0 && node.Held == 0) _nodes.Remove(node.Number);
    }

    // Whether a directory is another one, or above it.
    private bool IsBelow(ModelNode above, ModelNode directory)
    {
        for (ModelNode at = directory; ; at = _nodes[at.Parent])
        {
            if (at == above) return true;
            if (at.Number == Root || at.Links == 0) return false;
        }
    }
}
