using StoragePlugins;

[assembly: StoragePlugin("StoragePlugin1", Description = "A block format: a header, then the disk's bytes.")]
