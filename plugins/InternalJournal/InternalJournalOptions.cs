using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using StoragePlugins.Journaling;

namespace StoragePlugins.InternalJournal;

/// <summary>The options of the journal <c>internal</c>.</summary>
public sealed class InternalJournalOptions
{
    /// <summary>Bytes of the region inside the image.</summary>
    [Description("the journal's region inside the image; given back when the image is closed")]
    [Range(256L << 10, 256L << 20)]
    [CrashTestValues("256K")]
    public long RegionSize { get; set; } = 16 << 20;

    /// <summary>Whether small guest writes ride in the journal.</summary>
    [Description("whether small guest writes ride in the journal until a checkpoint: where flushes of scattered writes show that it pays (auto), always (on), never (off)")]
    [CrashTestValues("on")]
    public DualMode DualMode { get; set; }

    /// <summary>Dual mode's threshold.</summary>
    [Description("the longest guest write that is a small one; 0 for none")]
    [Range(0, 64 << 10)]
    [CrashTestValues("8K", "0")]
    public int MaxInline { get; set; } = 8 << 10;

    /// <summary>Memory for what is not home yet.</summary>
    [Description("memory for bytes that are in the journal and not yet in their places")]
    [Range(1L << 20, 1L << 30)]
    [CrashTestValues("1M")]
    public long Overlay { get; set; } = 16 << 20;
}
