using StoragePlugins;

[assembly: StoragePlugin("StoragePlugin1", Description = "A medium that stands on another one and counts.")]
