using StoragePlugins;

[assembly: StoragePlugin("Recorder", Description = "Logs what a running host asks of its disk, for the exploration of crash states.")]
