namespace StoragePlugins.PmFileSystem.Check;

/// <summary>What a check remembers of an inode: 16 bytes.</summary>
internal struct InodeFacts
{
    /// <summary>Directory entries that name it.</summary>
    public uint Names;

    /// <summary>The directory in which it was found, of directories.</summary>
    public uint Parent;

    /// <summary>The directory to be visited after this one.</summary>
    public uint Next;

    private byte _kind;

    public NodeKind Kind { readonly get => (NodeKind)_kind; set => _kind = (byte)value; }

    public InodeSigns Signs;

    public readonly bool Has(InodeSigns sign) => (Signs & sign) != 0;
}

/// <summary>Yes and no about an inode.</summary>
[Flags]
internal enum InodeSigns : byte
{
    None = 0,

    /// <summary>Its record was looked at: it is taken, or something names it.</summary>
    Known = 1,

    /// <summary>The node bitmap has it.</summary>
    Taken = 2,

    /// <summary>A path leads to it from the root.</summary>
    Reached = 4,

    /// <summary>A directory whose entries were read.</summary>
    Walked = 8,

    Orphan = 16,

    /// <summary>Taken, and neither named nor an orphan.</summary>
    Leaked = 32,
}
