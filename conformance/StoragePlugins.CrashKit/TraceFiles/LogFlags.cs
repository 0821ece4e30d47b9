namespace StoragePlugins.CrashKit.TraceFiles;

/// <summary>What an entry of a dm-log-writes log is (linux drivers/md/dm-log-writes.c).</summary>
[Flags]
public enum LogFlags : long
{
    /// <summary>A write, its data behind the entry.</summary>
    None = 0,

    /// <summary>The cache was flushed before what else the entry says.</summary>
    Flush = 1 << 0,

    /// <summary>The write is durable when it returns.</summary>
    Fua = 1 << 1,

    /// <summary>The range was discarded; no data follow.</summary>
    Discard = 1 << 2,

    /// <summary>A remark; the text is in the entry's own sector.</summary>
    Mark = 1 << 3,

    /// <summary>The file system called it metadata. Newer kernels log it, QEMU refuses it: read, never written here.</summary>
    Metadata = 1 << 4,
}
