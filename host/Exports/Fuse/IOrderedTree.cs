namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>What a tree has whose files can be ordered without being made durable.</summary>
internal interface IOrderedTree
{
    /// <summary>Whether a node's content can be.</summary>
    bool CanOrder(ulong node);

    /// <summary>Everything written to the node before this call persists before anything that is written after it returned.</summary>
    /// <exception cref="StorageException">Order can no longer be promised.</exception>
    void Barrier(ulong node);
}
