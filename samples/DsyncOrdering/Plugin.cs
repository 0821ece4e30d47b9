using StoragePlugins;

[assembly: StoragePlugin("DsyncOrdering", Description = "Synchronous writes in place of flushes.")]
