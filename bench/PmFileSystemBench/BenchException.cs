namespace StoragePlugins.PmFileSystemBench;

/// <summary>The bench cannot run, in one line.</summary>
internal sealed class BenchException(string message) : Exception(message);
