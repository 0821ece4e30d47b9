using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace StoragePlugins.PmFileSystem;

/// <summary>Options of the format <c>pmfs</c>.</summary>
public sealed class PmFormatOptions
{
    /// <summary>How many inodes a new image gets.</summary>
    [Description("A new image gets one inode for so many bytes of it. An inode takes 256 bytes of the image, used or not.")]
    [Range(1024, 64 << 20)]
    [CrashTestValues("16K")]
    public long BytesPerInode { get; set; } = 8192;
}
