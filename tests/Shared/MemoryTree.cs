using System.Text;

namespace StoragePlugins.Tests;

/// <summary>A tree of files in memory, the least that keeps the contract: what the mount itself does is not mixed with a file system's doing.</summary>
/// <remarks>Names and attributes are guarded by one lock, a file's content by the file's own.</remarks>
internal sealed class MemoryTree : IFileTree
{
    private const int ChunkBytes = 64 * 1024;
    private const long MaxFileBytes = 1L << 40;
    private const uint TypeMask = 0xF000;

    private readonly Lock _names = new();
    private readonly Dictionary<ulong, Node> _nodes = [];
    private ulong _lastNode = 1;

    public MemoryTree(ulong rootNode = 1)
    {
        RootNode = rootNode;
        _lastNode = Math.Max(_lastNode, rootNode);
        Node root = Node.Of(rootNode, 0x41FF, 0, 0, 0); // drwxrwxrwx
        root.Parent = rootNode;
        _nodes[rootNode] = root;
    }

    public ulong RootNode { get; }

    public TreeDurability Durability { get; init; } = TreeDurability.OnReturn;

    public bool IsReadOnly { get; init; }

    /// <summary>Bytes of content that fit; more is <see cref="FileError.NoSpace"/>.</summary>
    public long Capacity { get; init; } = long.MaxValue;

    /// <summary>Called before every call that names a node: to fail, or to be slow.</summary>
    public Action<string>? Before { get; set; }

    /// <summary>Flushes that were asked for.</summary>
    public int Flushes;

    /// <summary>Writes that came.</summary>
    public int Writes;

    /// <summary>Nodes whose last writer closed them.</summary>
    public List<ulong> ClosedNodes { get; } = [];

    /// <summary>Nodes that live, held or named.</summary>
    public int NodeCount
    {
        get { lock (_names) return _nodes.Count; }
    }

    public TreeStatistics Statistics => new(4096, 1 << 20, 1 << 19, 1 << 20, (1 << 20) - NodeCount, 255);

    public FileError Lookup(ulong parent, ReadOnlySpan<byte> name, out NodeAttributes node)
    {
        Before?.Invoke("lookup");
        lock (_names)
        {
            node = default;
            FileError error = Find(parent, name, out Node? found);
            if (error != FileError.None) return error;
            found!.Holds++;
            node = found.Describe();
            return FileError.None;
        }
    }

    public void Forget(ulong node, long count)
    {
        lock (_names)
        {
            if (!_nodes.TryGetValue(node, out Node? found)) return;
            found.Holds -= count;
            DropIfUnused(found);
        }
    }

    public void Closed(ulong node)
    {
        lock (_names) ClosedNodes.Add(node);
    }

    public FileError GetAttributes(ulong node, out NodeAttributes attributes)
    {
        Before?.Invoke("get attributes");
        lock (_names)
        {
            attributes = default;
            if (!_nodes.TryGetValue(node, out Node? found)) return FileError.Stale;
            attributes = found.Describe();
            return FileError.None;
        }
    }

    public FileError SetAttributes(ulong node, in AttributeChange change, out NodeAttributes attributes)
    {
        lock (_names)
        {
            attributes = default;
            if (IsReadOnly) return FileError.ReadOnly;
            if (!_nodes.TryGetValue(node, out Node? found)) return FileError.Stale;
            if (change.Size is { } size)
            {
                FileError error = found.Kind == NodeKind.Directory ? FileError.IsDirectory : found.Kind != NodeKind.File || size < 0 ? FileError.InvalidArgument : size > MaxFileBytes ? FileError.FileTooLarge : FileError.None;
                if (error != FileError.None) return error;
                lock (found) found.SetLength(size);
            }

            found.Change(change);
            attributes = found.Describe();
            return FileError.None;
        }
    }

    public FileError Create(ulong parent, ReadOnlySpan<byte> name, in NodeRequest request, out NodeAttributes node) => Make(parent, name, request.Mode, request, null, out node);

    public FileError CreateSymbolicLink(ulong parent, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, in NodeRequest request, out NodeAttributes node) =>
        Make(parent, name, 0xA1FF, request, target.ToArray(), out node);

    public FileError ReadSymbolicLink(ulong node, Span<byte> target, out int length)
    {
        lock (_names)
        {
            length = 0;
            if (!_nodes.TryGetValue(node, out Node? found)) return FileError.Stale;
            if (found.Target is not { } stored) return FileError.InvalidArgument;
            length = stored.Length;
            return stored.AsSpan().TryCopyTo(target) ? FileError.None : FileError.BufferTooSmall;
        }
    }

    public FileError Link(ulong node, ulong newParent, ReadOnlySpan<byte> newName, out NodeAttributes attributes)
    {
        lock (_names)
        {
            attributes = default;
            if (!_nodes.TryGetValue(node, out Node? found)) return FileError.Stale;
            if (found.Kind == NodeKind.Directory) return FileError.NotPermitted;
            FileError error = Find(newParent, newName, out _);
            if (error != FileError.NotFound) return error == FileError.None ? FileError.Exists : error;
            _nodes[newParent].Add(newName, node);
            found.Links++;
            found.Holds++;
            attributes = found.Describe();
            return FileError.None;
        }
    }

    public FileError Remove(ulong parent, ReadOnlySpan<byte> name)
    {
        lock (_names)
        {
            FileError error = Find(parent, name, out Node? found);
            if (error != FileError.None) return error;
            if (found!.Kind == NodeKind.Directory) return FileError.IsDirectory;
            Unname(parent, name, found);
            return FileError.None;
        }
    }

    public FileError RemoveDirectory(ulong parent, ReadOnlySpan<byte> name)
    {
        lock (_names)
        {
            FileError error = Find(parent, name, out Node? found);
            if (error != FileError.None) return error;
            if (found!.Kind != NodeKind.Directory) return FileError.NotDirectory;
            if (found.Entries!.Count > 0) return FileError.NotEmpty;
            Unname(parent, name, found);
            return FileError.None;
        }
    }

    public FileError Rename(ulong parent, ReadOnlySpan<byte> name, ulong newParent, ReadOnlySpan<byte> newName, RenameMode mode)
    {
        lock (_names)
        {
            FileError error = Find(parent, name, out Node? moved);
            if (error != FileError.None) return error;
            error = Find(newParent, newName, out Node? there);
            if (error is not (FileError.None or FileError.NotFound)) return error;
            if (mode == RenameMode.Exchange && there is null) return FileError.NotFound;
            if (mode == RenameMode.Keep && there is not null) return FileError.Exists;
            if (there == moved) return FileError.None;
            if (mode == RenameMode.Replace && there is not null)
            {
                if (there.Kind == NodeKind.Directory && moved!.Kind != NodeKind.Directory) return FileError.IsDirectory;
                if (there.Kind != NodeKind.Directory && moved!.Kind == NodeKind.Directory) return FileError.NotDirectory;
                if (there.Entries is { Count: > 0 }) return FileError.NotEmpty;
                Unname(newParent, newName, there);
            }

            _nodes[parent].Take(name);
            if (mode == RenameMode.Exchange)
            {
                _nodes[newParent].Take(newName);
                _nodes[parent].Add(name, there!.Number);
                there.Parent = parent;
            }

            _nodes[newParent].Add(newName, moved!.Number);
            moved.Parent = newParent;
            return FileError.None;
        }
    }

    public FileError Read(ulong node, long offset, Span<byte> buffer, out int read)
    {
        Before?.Invoke("read");
        read = 0;
        FileError error = FindFile(node, out Node? file);
        if (error != FileError.None) return error;
        lock (file!) read = file.Read(offset, buffer);
        return FileError.None;
    }

    public FileError Write(ulong node, long offset, ReadOnlySpan<byte> data)
    {
        Before?.Invoke("write");
        Interlocked.Increment(ref Writes);
        FileError error = FindFile(node, out Node? file);
        if (error != FileError.None) return error;
        if (IsReadOnly) return FileError.ReadOnly;
        if (offset > MaxFileBytes - data.Length) return FileError.FileTooLarge;
        lock (file!)
        {
            if (offset + data.Length > Capacity) return FileError.NoSpace;
            file.Write(offset, data);
        }

        return FileError.None;
    }

    public FileError Append(ulong node, ReadOnlySpan<byte> data, out long offset)
    {
        offset = 0;
        FileError error = FindFile(node, out Node? file);
        if (error != FileError.None) return error;
        lock (file!) file.Write(offset = file.Length, data);
        return FileError.None;
    }

    public FileError Allocate(ulong node, AllocationMode mode, long offset, long length)
    {
        FileError error = FindFile(node, out Node? file);
        if (error != FileError.None) return error;
        lock (file!)
        {
            if (mode == AllocationMode.Grow) file.SetLength(Math.Max(file.Length, offset + length));
            else if (mode is AllocationMode.PunchHole or AllocationMode.ZeroRange) file.Zero(offset, Math.Min(length, Math.Max(0, file.Length - offset)), mode == AllocationMode.PunchHole);
        }

        return FileError.None;
    }

    public FileError Seek(ulong node, long offset, bool forHole, out long found)
    {
        found = offset;
        FileError error = FindFile(node, out Node? file);
        if (error != FileError.None) return error;
        lock (file!) return file.Seek(forHole, ref found) ? FileError.None : FileError.NoData;
    }

    public FileError Flush(ulong node)
    {
        Before?.Invoke("flush");
        Interlocked.Increment(ref Flushes);
        return FileError.None;
    }

    public FileError ReadDirectory(ulong node, ulong cursor, IDirectoryVisitor visitor)
    {
        lock (_names)
        {
            if (!_nodes.TryGetValue(node, out Node? found)) return FileError.Stale;
            if (found.Order is null) return FileError.NotDirectory;
            foreach ((ulong at, byte[] name, ulong number) in found.After(cursor))
            {
                if (!visitor.Visit(name, number, _nodes[number].Kind, at)) break;
            }

            return FileError.None;
        }
    }

    public FileError GetParent(ulong node, out ulong parent)
    {
        lock (_names)
        {
            parent = RootNode;
            if (!_nodes.TryGetValue(node, out Node? found)) return FileError.Stale;
            parent = found.Parent;
            return found.Kind == NodeKind.Directory ? FileError.None : FileError.NotDirectory;
        }
    }

    public FileError GetExtendedAttribute(ulong node, ReadOnlySpan<byte> name, Span<byte> value, out int length)
    {
        lock (_names)
        {
            length = 0;
            if (!_nodes.TryGetValue(node, out Node? found)) return FileError.Stale;
            if (!found.Extended.TryGetValue(KeyOf(name), out byte[]? stored)) return FileError.NoAttribute;
            length = stored.Length;
            return value.IsEmpty || stored.AsSpan().TryCopyTo(value) ? FileError.None : FileError.BufferTooSmall;
        }
    }

    public FileError SetExtendedAttribute(ulong node, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, AttributeMode mode)
    {
        lock (_names)
        {
            if (!_nodes.TryGetValue(node, out Node? found)) return FileError.Stale;
            bool isThere = found.Extended.ContainsKey(KeyOf(name));
            if (mode == AttributeMode.Create && isThere) return FileError.Exists;
            if (mode == AttributeMode.Replace && !isThere) return FileError.NoAttribute;
            found.Extended[KeyOf(name)] = value.ToArray();
            return FileError.None;
        }
    }

    public FileError ListExtendedAttributes(ulong node, Span<byte> names, out int length)
    {
        lock (_names)
        {
            length = 0;
            if (!_nodes.TryGetValue(node, out Node? found)) return FileError.Stale;
            byte[] all = Encoding.Latin1.GetBytes(string.Concat(found.Extended.Keys.Select(name => name + '\0')));
            length = all.Length;
            return names.IsEmpty || all.AsSpan().TryCopyTo(names) ? FileError.None : FileError.BufferTooSmall;
        }
    }

    public FileError RemoveExtendedAttribute(ulong node, ReadOnlySpan<byte> name)
    {
        lock (_names)
        {
            if (!_nodes.TryGetValue(node, out Node? found)) return FileError.Stale;
            return found.Extended.Remove(KeyOf(name)) ? FileError.None : FileError.NoAttribute;
        }
    }

    private static string KeyOf(ReadOnlySpan<byte> name) => Encoding.Latin1.GetString(name);

    private FileError Make(ulong parent, ReadOnlySpan<byte> name, uint mode, in NodeRequest request, byte[]? target, out NodeAttributes node)
    {
        lock (_names)
        {
            node = default;
            if (IsReadOnly) return FileError.ReadOnly;
            FileError error = Find(parent, name, out _);
            if (error != FileError.NotFound) return error == FileError.None ? FileError.Exists : error;
            Node made = Node.Of(++_lastNode, mode, request.UserId, request.GroupId, request.Device);
            (made.Target, made.Parent, made.Links, made.Holds) = (target, parent, 1, 1);
            _nodes[made.Number] = made;
            _nodes[parent].Add(name, made.Number);
            node = made.Describe();
            return FileError.None;
        }
    }

    private FileError Find(ulong parent, ReadOnlySpan<byte> name, out Node? found)
    {
        found = null;
        if (!_nodes.TryGetValue(parent, out Node? directory)) return FileError.Stale;
        if (directory.Entries is null) return FileError.NotDirectory;
        if (name.Length > 255) return FileError.NameTooLong;
        if (name.Length == 0 || name.SequenceEqual("."u8) || name.SequenceEqual(".."u8)) return FileError.InvalidArgument;
        if (!directory.Entries.TryGetValue(KeyOf(name), out ulong cursor)) return FileError.NotFound;
        found = _nodes[directory.Order![cursor].Node];
        return FileError.None;
    }

    private FileError FindFile(ulong node, out Node? file)
    {
        lock (_names)
        {
            if (!_nodes.TryGetValue(node, out file)) return FileError.Stale;
            return file.Kind == NodeKind.Directory ? FileError.IsDirectory : file.Kind == NodeKind.File ? FileError.None : FileError.InvalidArgument;
        }
    }

    private void Unname(ulong parent, ReadOnlySpan<byte> name, Node node)
    {
        _nodes[parent].Take(name);
        node.Links--;
        DropIfUnused(node);
    }

    private void DropIfUnused(Node node)
    {
        if (node.Links == 0 && node.Holds <= 0 && node.Number != RootNode) _nodes.Remove(node.Number);
    }

    /// <summary>A node; directories have entries in the order of their making, whose numbers are the cursors.</summary>
    private sealed class Node
    {
        private NodeAttributes _attributes;
        private byte[]?[] _chunks = [];
        private ulong _lastCursor;

        public ulong Number => _attributes.Node;

        public NodeKind Kind => _attributes.Kind;

        public ulong Parent { get; set; }

        public uint Links { get; set; }

        public long Holds { get; set; }

        public byte[]? Target { get; set; }

        public long Length { get; private set; }

        public Dictionary<string, byte[]> Extended { get; } = [];

        public Dictionary<string, ulong>? Entries { get; private set; }

        public SortedDictionary<ulong, (byte[] Name, ulong Node)>? Order { get; private set; }

        private static long Now => (DateTime.UtcNow - DateTime.UnixEpoch).Ticks * 100;

        public static Node Of(ulong number, uint mode, uint user, uint group, uint device)
        {
            var node = new Node
            {
                _attributes = new NodeAttributes
                {
                    Node = number, Generation = 1, Mode = mode, UserId = user, GroupId = group, Device = device,
                    AccessTime = Now, ModificationTime = Now, ChangeTime = Now, BirthTime = Now,
                },
            };
            if (node.Kind == NodeKind.Directory) (node.Entries, node.Order) = ([], []);
            return node;
        }

        public NodeAttributes Describe() => _attributes with
        {
            Links = Kind == NodeKind.Directory ? 2 : Links,
            Size = Target?.Length ?? Length,
            AllocatedBytes = _chunks.Count(chunk => chunk is not null) * (long)ChunkBytes,
        };

        public void Change(in AttributeChange change)
        {
            if (change.Permissions is { } permissions) _attributes.Mode = (_attributes.Mode & TypeMask) | permissions;
            _attributes.UserId = change.UserId ?? _attributes.UserId;
            _attributes.GroupId = change.GroupId ?? _attributes.GroupId;
            _attributes.AccessTime = change.AccessTime ?? _attributes.AccessTime;
            _attributes.ModificationTime = change.ModificationTime ?? (change.Size is null ? _attributes.ModificationTime : Now);
            _attributes.ChangeTime = Now;
        }

        public void Add(ReadOnlySpan<byte> name, ulong node)
        {
            Entries![KeyOf(name)] = ++_lastCursor;
            Order![_lastCursor] = (name.ToArray(), node);
        }

        public void Take(ReadOnlySpan<byte> name)
        {
            Order!.Remove(Entries![KeyOf(name)]);
            Entries.Remove(KeyOf(name));
        }

        public IEnumerable<(ulong Cursor, byte[] Name, ulong Node)> After(ulong cursor)
        {
            for (ulong at = cursor + 1; at <= _lastCursor; at++)
            {
                if (Order!.TryGetValue(at, out (byte[] Name, ulong Node) entry)) yield return (at, entry.Name, entry.Node);
            }
        }

        public void SetLength(long length)
        {
            // What lies behind the new end reads as zeros when the file grows again.
            if (length < Length) Zero(length, Length - length, drop: true);
            Length = length;
        }

        public int Read(long offset, Span<byte> buffer)
        {
            if (offset >= Length) return 0;
            int read = (int)Math.Min(buffer.Length, Length - offset);
            for (int done = 0; done < read;)
            {
                (int chunk, int start, int step) = PieceOf(offset + done, read - done);
                Span<byte> piece = buffer.Slice(done, step);
                if (chunk < _chunks.Length && _chunks[chunk] is { } bytes) bytes.AsSpan(start, step).CopyTo(piece);
                else piece.Clear();
                done += step;
            }

            return read;
        }

        public void Write(long offset, ReadOnlySpan<byte> data)
        {
            for (int done = 0; done < data.Length;)
            {
                (int chunk, int start, int step) = PieceOf(offset + done, data.Length - done);
                if (chunk >= _chunks.Length) Array.Resize(ref _chunks, Math.Max(chunk + 1, _chunks.Length * 2));
                data.Slice(done, step).CopyTo((_chunks[chunk] ??= new byte[ChunkBytes]).AsSpan(start));
                done += step;
            }

            Length = Math.Max(Length, offset + data.Length);
            _attributes.ModificationTime = _attributes.ChangeTime = Now;
        }

        public void Zero(long offset, long length, bool drop)
        {
            for (long done = 0; done < length;)
            {
                (int chunk, int start, int step) = PieceOf(offset + done, (int)Math.Min(length - done, ChunkBytes));
                if (chunk >= _chunks.Length) return;
                if (drop && step == ChunkBytes) _chunks[chunk] = null;
                else _chunks[chunk]?.AsSpan(start, step).Clear();
                done += step;
            }
        }

        public bool Seek(bool forHole, ref long found)
        {
            if (found >= Length) return false;
            for (; found < Length; found = ((found / ChunkBytes) + 1) * ChunkBytes)
            {
                long chunk = found / ChunkBytes;
                if ((chunk >= _chunks.Length || _chunks[chunk] is null) == forHole) return true;
            }

            found = Length;
            return forHole;
        }

        private static (int Chunk, int Start, int Step) PieceOf(long offset, int length)
        {
            int start = (int)(offset % ChunkBytes);
            return ((int)(offset / ChunkBytes), start, Math.Min(length, ChunkBytes - start));
        }
    }
}
