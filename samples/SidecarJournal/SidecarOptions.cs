using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using StoragePlugins;

namespace Samples.SidecarJournal;

/// <summary>What a configuration may set: <c>"journal": {"id": "sidecar", "logSize": "16M"}</c>.</summary>
public sealed class SidecarOptions
{
    /// <summary>Below this a transaction of small updates would be smaller than one operation of a format may need.</summary>
    public const int LeastLogBytes = 256 << 10;

    /// <summary>A recovery holds all of it in memory.</summary>
    public const int MostLogBytes = 64 << 20;

    /// <summary>Bytes of log.</summary>
    [Description("bytes of log; a larger one is emptied less often")]
    [Range(LeastLogBytes, MostLogBytes)]
    [CrashTestValues("256K", "384K")]
    public int LogSize { get; set; } = 4 << 20;

    /// <summary>Appended to the image's name.</summary>
    [Description("appended to the image's name, gives the log's")]
    [MinLength(1)]
    public string Suffix { get; set; } = ".journal";
}
