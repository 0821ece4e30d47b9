namespace StoragePlugins;

/// <summary>A request failed on its way. Carries what a client is told and what an operator needs.</summary>
public class StorageException : IOException
{
    /// <summary>Describes a failed operation on a byte range.</summary>
    /// <param name="error">The kind, which exports translate for their clients.</param>
    /// <param name="operation">What was tried: "write", "fdatasync".</param>
    /// <param name="target">The medium's or disk's name.</param>
    /// <param name="offset">First byte; −1 when the operation has no range.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="reason">Why, in words: the system's error text.</param>
    /// <param name="inner">The cause.</param>
    public StorageException(StorageError error, string operation, string target, long offset, long length, string reason, Exception? inner = null)
        : base(offset < 0 ? $"{operation} of '{target}' failed: {reason}" : $"{operation} of {length} bytes at {offset} of '{target}' failed: {reason}", inner)
    {
        Error = error;
        Operation = operation;
        Target = target;
        Offset = offset;
        Length = length;
    }

    /// <summary>The kind of failure.</summary>
    public StorageError Error { get; }

    /// <summary>What was tried.</summary>
    public string Operation { get; }

    /// <summary>The medium or disk.</summary>
    public string Target { get; }

    /// <summary>First byte; −1 without a range.</summary>
    public long Offset { get; }

    /// <summary>Bytes.</summary>
    public long Length { get; }
}

/// <summary>
/// Durability or order can no longer be promised: a sync failed. Final until the image is opened anew and recovered; never retried.
/// </summary>
public sealed class DurabilityLostException : StorageException
{
    /// <summary>Describes the sync that failed.</summary>
    public DurabilityLostException(string operation, string target, string reason, Exception? inner = null)
        : base(StorageError.Io, operation, target, -1, 0, reason, inner)
    {
    }
}

/// <summary>Kinds of failure, one for each that a client can be told apart (NBD's error values, which are Linux errno values).</summary>
public enum StorageError
{
    /// <summary>EIO: the device failed, or the image is poisoned.</summary>
    Io = 5,

    /// <summary>ENOMEM: a bound was reached.</summary>
    OutOfMemory = 12,

    /// <summary>EINVAL: outside the disk.</summary>
    InvalidRange = 22,

    /// <summary>EROFS, which NBD calls EPERM: the disk is read-only.</summary>
    ReadOnly = 1,

    /// <summary>ENOSPC: the host's disk or the image is full.</summary>
    NoSpace = 28,

    /// <summary>ENOTSUP: this disk cannot do it, or not fast.</summary>
    NotSupported = 95,

    /// <summary>ESHUTDOWN: the disk is being closed.</summary>
    ShuttingDown = 108,
}
