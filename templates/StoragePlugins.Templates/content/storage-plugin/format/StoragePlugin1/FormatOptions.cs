using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using StoragePlugins;

namespace StoragePluginNamespace;

/// <summary>What a configuration or <c>sphost image create -o dataOffset=64K</c> may set.</summary>
public sealed class FormatOptions
{
    /// <summary>Where the disk's first byte lies in a new image.</summary>
    [Description("where the disk's first byte lies in a new image; a multiple of 4096")]
    [Range(ContainerHeader.Alignment, ContainerHeader.MaxDataOffset)]
    [CrashTestValues("4K", "64K")]
    public int DataOffset { get; set; } = ContainerHeader.Alignment;
}
