namespace StoragePlugins.PmFileSystem.Check;

/// <summary>What a pass may mend.</summary>
/// <param name="Everything">Whatever follows from references, not only what is leaked.</param>
/// <param name="FreesInodes">All directories could be read: an inode without a name has none.</param>
/// <param name="FreesBlocks">All references could be read: a block without one is free.</param>
internal sealed record Mender(bool Everything, bool FreesInodes, bool FreesBlocks);
