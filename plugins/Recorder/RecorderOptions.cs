using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace StoragePlugins.Recorder;

/// <summary>The options of the medium <c>record</c>.</summary>
public sealed class RecorderOptions
{
    /// <summary>The log's path; empty for the image's with <c>.dmlog</c> behind it.</summary>
    [Description("the log; by default the image's path with .dmlog behind it. An earlier log there is replaced")]
    public string Log { get; set; } = "";

    /// <summary>Bytes of a sector of the log.</summary>
    [Description("bytes of a sector of the log: what is not whole sectors is widened")]
    [AllowedValues(512, 4096)]
    public int SectorSize { get; set; } = 512;

    /// <summary>The most bytes that the log may take. The default is the most data that the crash kit explores.</summary>
    [Description("the most bytes that the log may take; requests that would need more fail like on a full disk")]
    [Range(1L << 20, 1L << 40)]
    public long MaxBytes { get; set; } = 1L << 30;
}
