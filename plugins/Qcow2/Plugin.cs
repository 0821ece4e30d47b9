using StoragePlugins;

[assembly: StoragePlugin("Qcow2")]
