using StoragePlugins;

[assembly: StoragePlugin("SimulatedMedia", Description = "Media for measuring and testing: a slower device, an image in memory.")]
