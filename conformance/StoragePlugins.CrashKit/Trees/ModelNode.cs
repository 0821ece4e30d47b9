namespace StoragePlugins.CrashKit.Trees;

/// <summary>A node of a <see cref="ModelTree"/>.</summary>
internal sealed class ModelNode(ulong number, uint mode)
{
    public ulong Number { get; } = number;

    public uint Mode { get; set; } = mode;

    public uint Links { get; set; } = 1;

    public uint UserId { get; set; }

    public uint GroupId { get; set; }

    public uint Device { get; set; }

    public long Size { get; set; }

    public long AccessTime { get; set; }

    public long ModificationTime { get; set; }

    public long ChangeTime { get; set; }

    public long BirthTime { get; set; }

    public SparseContent Content { get; } = new();

    /// <summary>Of a symbolic link.</summary>
    public byte[] Target { get; set; } = [];

    /// <summary>Extended attributes by their names, byte for byte a character.</summary>
    public SortedDictionary<string, byte[]> Attributes { get; } = new(StringComparer.Ordinal);

    /// <summary>Of a directory: names, with the number of the node and a cursor.</summary>
    public SortedDictionary<string, (ulong Node, ulong Cursor)> Entries { get; } = new(StringComparer.Ordinal);

    /// <summary>Of a directory: the one that holds it.</summary>
    public ulong Parent { get; set; }

    /// <summary>How often it is held.</summary>
    public long Held { get; set; }

    public NodeKind Kind => (NodeKind)(Mode >> 12);

    public bool IsDirectory => Kind == NodeKind.Directory;

    public NodeAttributes Describe() => new()
    {
        Node = Number, Generation = 1, Mode = Mode, Links = Links, UserId = UserId, GroupId = GroupId, Device = Device, Size = Size,
        AllocatedBytes = (long)Content.Pages.Count * SparseContent.PageBytes, AccessTime = AccessTime, ModificationTime = ModificationTime, ChangeTime = ChangeTime, BirthTime = BirthTime,
    };
}
