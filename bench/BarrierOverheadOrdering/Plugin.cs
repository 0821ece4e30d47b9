using StoragePlugins;

[assembly: StoragePlugin("BarrierOverheadOrdering", Description = "fdatasync and stand-ins for barriers in the numbers that an experiment asks for")]
