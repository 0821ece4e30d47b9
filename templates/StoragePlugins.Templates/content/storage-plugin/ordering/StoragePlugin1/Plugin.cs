using StoragePlugins;

[assembly: StoragePlugin("StoragePlugin1", Description = "An ordering primitive: a barrier is a flush of the medium.")]
