using System.ComponentModel;
using StoragePlugins;

namespace StoragePluginNamespace;

/// <summary>What a configuration may set: <c>"ordering": {"id": "plugin-id-token", "allMetadata": true}</c>.</summary>
public sealed class OrderingOptions
{
    /// <summary>Also time stamps and the like become durable.</summary>
    [Description("also time stamps and the like become durable: fsync(2) in place of fdatasync(2)")]
    [CrashTestValues("false", "true")]
    public bool AllMetadata { get; set; }
}
