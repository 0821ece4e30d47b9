using StoragePlugins;

[assembly: StoragePlugin("Ordered")]
