using System.Buffers;

namespace StoragePlugins;

/// <summary>
/// A set of metadata updates that belong together: after-images of any length, in ordered stages.
/// </summary>
/// <remarks>
/// <para>An after-image is an offset and the bytes that belong there afterwards: the result, not the operation, so that applying it
/// twice is the same as applying it once. Images of eight bytes (one L2 entry) are as good as images of 64 KiB.</para>
/// <para>Stage <i>k</i> must persist before stage <i>k</i> + 1; inside a stage there is no order. A journal that commits the whole
/// atomically may ignore stages. Stage 0 is for what nothing refers to yet (allocation records, tables not linked in): it may persist before the
/// published data. What makes published extents reachable belongs in stage 1 or later.</para>
/// <para>Memory: one growing buffer, kept by <see cref="Clear"/> for reuse. Not thread-safe.</para>
/// </remarks>
public sealed class MetadataTransaction
{
    /// <summary>The most stages a transaction can have.</summary>
    public const int MaxStages = 8;

    private readonly List<AfterImage>[] _stages = [.. Enumerable.Range(0, MaxStages).Select(_ => new List<AfterImage>())];
    private readonly ArrayBufferWriter<byte> _bytes = new(4096);
    private readonly List<PublishedExtent> _published = [];
    private readonly List<HomeRange> _revoked = [];

    /// <summary>Number of after-images in all stages.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes of after-images in all stages.</summary>
    public long ByteCount { get; private set; }

    /// <summary>True when there is no after-image and no revoke.</summary>
    public bool IsEmpty => Count == 0 && _revoked.Count == 0;

    /// <summary>
    /// Extents, of guest data or of new tables, that this transaction makes reachable. Their bytes were written, in full, before the commit.
    /// </summary>
    public IReadOnlyList<PublishedExtent> Published => _published;

    /// <summary>Home ranges whose earlier after-images must never be replayed again: freed metadata that may be reused as data.</summary>
    public IReadOnlyList<HomeRange> Revoked => _revoked;

    /// <summary>The after-images of a stage, in the order in which they were added; later ones win where ranges overlap.</summary>
    /// <param name="stage">0 … <see cref="MaxStages"/> − 1.</param>
    public IReadOnlyList<AfterImage> Stage(int stage) => _stages[stage];

    /// <summary>The bytes of an after-image of this transaction; valid until the next <see cref="Add"/> or <see cref="Clear"/>.</summary>
    public ReadOnlySpan<byte> Bytes(in AfterImage image) => _bytes.WrittenSpan.Slice(image.Position, image.Length);

    /// <summary>Adds an after-image; the bytes are copied.</summary>
    public void Add(int stage, ContentClass content, long offset, ReadOnlySpan<byte> bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfZero(bytes.Length);
        _stages[stage].Add(new AfterImage(offset, bytes.Length, content, _bytes.WrittenCount));
        _bytes.Write(bytes);
        Count++;
        ByteCount += bytes.Length;
    }

    /// <summary>Says that a data extent becomes reachable by this transaction.</summary>
    public void Publish(in PublishedExtent extent) => _published.Add(extent);

    /// <summary>Forbids the replay of earlier after-images of a home range.</summary>
    public void Revoke(in HomeRange range) => _revoked.Add(range);

    /// <summary>Empties the transaction and keeps its memory.</summary>
    public void Clear()
    {
        foreach (List<AfterImage> stage in _stages) stage.Clear();
        _bytes.ResetWrittenCount();
        _published.Clear();
        _revoked.Clear();
        Count = 0;
        ByteCount = 0;
    }
}

/// <summary>One after-image of a <see cref="MetadataTransaction"/>; its bytes come from <see cref="MetadataTransaction.Bytes"/>.</summary>
/// <param name="Offset">Home offset in bytes.</param>
/// <param name="Length">Length in bytes, at least 1.</param>
/// <param name="Content">What it is.</param>
/// <param name="Position">Where its bytes start in the transaction's buffer.</param>
public readonly record struct AfterImage(long Offset, int Length, ContentClass Content, int Position);

/// <summary>A byte range of the home medium.</summary>
/// <param name="Offset">First byte.</param>
/// <param name="Length">Length in bytes.</param>
public readonly record struct HomeRange(long Offset, long Length);

/// <summary>A data extent made reachable by a transaction.</summary>
/// <param name="Offset">First byte in the home medium.</param>
/// <param name="Length">Length in bytes.</param>
/// <param name="Prior">What the medium may hold there if the data itself does not arrive.</param>
public readonly record struct PublishedExtent(long Offset, long Length, PriorContent Prior);

/// <summary>What a data extent may show after a crash in which its mapping persisted and its data did not.</summary>
public enum PriorContent
{
    /// <summary>Anything, also bytes of another file: the data must persist before the mapping, or be checked at replay.</summary>
    Unknown = 0,

    /// <summary>Zeros: never-used space beyond the end of the medium, or durably zeroed. One flush for data and mapping is enough.</summary>
    Zeros,
}
