using StoragePlugins;

[assembly: StoragePlugin("PmJournal")]
