using StoragePlugins;

[assembly: StoragePlugin("SidecarJournal", Description = "A redo log in a file beside the image.")]
