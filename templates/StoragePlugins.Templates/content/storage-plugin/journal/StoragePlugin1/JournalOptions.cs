using System.ComponentModel;
using StoragePlugins;

namespace StoragePluginNamespace;

/// <summary>What a configuration may set: <c>"journal": {"id": "plugin-id-token", "durableStages": true}</c>.</summary>
public sealed class JournalOptions
{
    /// <summary>Each stage is flushed before the next is written.</summary>
    [Description("each stage is flushed before the next is written, where a barrier would do")]
    [CrashTestValues("false", "true")]
    public bool DurableStages { get; set; }
}
