using StoragePlugins;

[assembly: StoragePlugin("PmFileSystem")]
