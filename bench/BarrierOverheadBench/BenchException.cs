namespace StoragePlugins.BarrierOverheadBench;

/// <summary>The run cannot go on; the message says why.</summary>
internal sealed class BenchException(string message) : Exception(message);
