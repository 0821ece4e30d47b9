using StoragePlugins.FuseBench;

if (args is [MemoryMount.Verb, var directory, var threads]) return MemoryMount.Run(directory, int.Parse(threads));
return 1;
