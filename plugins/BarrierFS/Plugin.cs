using StoragePlugins;

[assembly: StoragePlugin("BarrierFS", Description = "order without waiting for durability: fdatabarrier(2), deferred epochs, write-through devices")]
