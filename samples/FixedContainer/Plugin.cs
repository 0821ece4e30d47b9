using StoragePlugins;

[assembly: StoragePlugin("FixedContainer", Description = "A container of fixed size: a header twice, then the disk.")]
