namespace StoragePlugins.BarrierFS.Deferred;

/// <summary>What waits for its turn at the medium.</summary>
internal enum HeldKind
{
    /// <summary>Bytes in a buffer; its caller has gone on.</summary>
    Write = 0,

    /// <summary>The end of an epoch: a sync.</summary>
    EpochEnd,

    /// <summary>Its caller waits, as for the rest.</summary>
    SetLength,

    /// <summary>Gives a range back.</summary>
    PunchHole,

    /// <summary>Zeroes a range.</summary>
    ZeroRange,

    /// <summary>Writes zeros ahead.</summary>
    Preallocate,
}

/// <summary>One entry of the <see cref="EpochQueue"/>; used again and again.</summary>
internal sealed class HeldOperation
{
    public HeldKind Kind;
    public ContentClass Content;
    public long Offset;
    public long Length;
    public byte[]? Buffer;

    /// <summary>Its place in the order of all entries ever.</summary>
    public long Ticket;

    /// <summary>The medium has it: its bytes stay as they are.</summary>
    public bool IsStarted;

    /// <summary>What the medium answered; read by the waiting caller.</summary>
    public bool Result;

    /// <summary>What the medium threw; read by the waiting caller.</summary>
    public Exception? Error;

    /// <summary>The entry behind it, or the next free one.</summary>
    public HeldOperation? Next;

    /// <summary>The next newer write of the same region.</summary>
    public HeldOperation? Newer;

    /// <summary>The next older write of the same region.</summary>
    public HeldOperation? Older;

    public ReadOnlySpan<byte> Bytes => Buffer.AsSpan(0, (int)Length);
}
