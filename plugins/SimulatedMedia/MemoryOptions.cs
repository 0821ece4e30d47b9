using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace StoragePlugins.SimulatedMedia;

/// <summary>The options of the medium <c>memory</c>.</summary>
public sealed class MemoryOptions
{
    /// <summary>The most memory that one image may take, in bytes.</summary>
    [Description("the most memory that an image may take; a write beyond it fails as on a full disk")]
    [Range(1L << 20, 1L << 40)]
    public long Limit { get; set; } = 1 << 30;
}
