using StoragePlugins;

[assembly: StoragePlugin("Raw")]
