using StoragePlugins;

[assembly: StoragePlugin("Fsync")]
