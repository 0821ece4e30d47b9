using StoragePlugins;

[assembly: StoragePlugin("InternalJournal")]
