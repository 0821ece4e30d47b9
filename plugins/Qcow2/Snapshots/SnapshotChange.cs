namespace StoragePlugins.Qcow2.Snapshots;

/// <summary>What an operation on snapshots leads to.</summary>
internal sealed record SnapshotChange
{
    /// <summary>The snapshots afterwards.</summary>
    public required IReadOnlyList<Snapshot> Snapshots { get; init; }

    /// <summary>One of <see cref="Snapshots"/> that is new and is to hold what the live disk holds; its L1 table has no place yet.</summary>
    public Snapshot? Created { get; init; }

    /// <summary>The live map's root afterwards, before tables moved and flags were set.</summary>
    public required ulong[] Root { get; init; }

    /// <summary>The live disk's size afterwards, in bytes.</summary>
    public required long Size { get; init; }

    /// <summary>A root of which everything is referenced once more.</summary>
    public ulong[] Gained { get; init; } = [];

    /// <summary>A root of which everything is referenced once less.</summary>
    public ulong[] Lost { get; init; } = [];

    /// <summary>A snapshot that is there no more.</summary>
    public Snapshot? Deleted { get; init; }
}
