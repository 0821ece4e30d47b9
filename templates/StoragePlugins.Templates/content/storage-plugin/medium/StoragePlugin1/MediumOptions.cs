using System.ComponentModel;

namespace StoragePluginNamespace;

/// <summary>What a configuration may set: <c>"medium": [{"id": "plugin-id-token", "report": false}, "file"]</c>.</summary>
public sealed class MediumOptions
{
    /// <summary>The counts go to the log when the medium is closed.</summary>
    [Description("say in the log, when the medium is closed, what was counted")]
    public bool Report { get; set; } = true;
}
