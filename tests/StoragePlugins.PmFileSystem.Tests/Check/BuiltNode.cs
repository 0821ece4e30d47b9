namespace StoragePlugins.PmFileSystem.Tests.Check;

/// <summary>A node of an image that a test builds.</summary>
internal sealed class BuiltNode(uint number, uint mode)
{
    public uint Number { get; } = number;

    public uint Mode { get; } = mode;

    public bool IsDirectory => Mode >> 12 == (uint)NodeKind.Directory;

    /// <summary>Entries of a directory.</summary>
    public List<(byte[] Name, BuiltNode Node)> Entries { get; } = [];

    /// <summary>Depth of a directory, and the local depth of all its leaves.</summary>
    public (int Depth, int Local) Depth { get; set; }

    public BuiltNode? Parent { get; set; }

    public long Size { get; set; }

    /// <summary>Indexes of the blocks that a file has.</summary>
    public List<long> Mapped { get; } = [];

    public byte[] Target { get; set; } = [];

    public List<(string Name, byte[] Value)> Attributes { get; } = [];

    public bool IsOrphan { get; set; }

    public uint Names { get; set; }

    /// <summary>Blocks that it came to have: what for, and which.</summary>
    public List<(string Use, long Block)> Blocks { get; } = [];

    public long BlockOf(string use) => Blocks.First(block => block.Use == use).Block;
}
