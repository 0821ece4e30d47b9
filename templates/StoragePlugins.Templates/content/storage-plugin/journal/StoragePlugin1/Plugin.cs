using StoragePlugins;

[assembly: StoragePlugin("StoragePlugin1", Description = "A metadata journal without a log: stages are written home in order.")]
