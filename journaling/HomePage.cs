using System.Numerics;

namespace StoragePlugins.Journaling;

/// <summary>4 KiB of the home medium, of which some granules of 64 bytes are newer here than there.</summary>
/// <remarks>Everything but <see cref="Offset"/> changes under the page's own lock. Pages are reused: who holds a reference compares the offset first.</remarks>
internal sealed class HomePage
{
    public const int Bytes = 4096;

    /// <summary>The unit in which a page knows what it holds: a cache line, and at 64 to a page, a bit each.</summary>
    public const int GranuleBytes = 64;

    /// <summary>No page's offset.</summary>
    public const long Nowhere = -1;

    private readonly byte[] _content = new byte[Bytes];

    /// <summary>Where it belongs; <see cref="Nowhere"/> when it left the table.</summary>
    public long Offset { get; set; } = Nowhere;

    /// <summary>Granules held here.</summary>
    public ulong Valid { get; set; }

    /// <summary>Granules that no record has yet.</summary>
    public ulong Dirty { get; set; }

    /// <summary>The newest transaction whose record has, or is going to have, bytes of this page. Until that record is forgotten the page must stay, so
    /// that a write over it is noticed.</summary>
    public ulong LastTransaction { get; set; }

    /// <summary>Rises with every change of content, so that a checkpoint can tell whether what it wrote is still all.</summary>
    public ulong Version { get; set; }

    /// <summary>The version that the last checkpoint wrote home.</summary>
    public ulong WrittenVersion { get; set; }

    /// <summary>A checkpoint is writing a copy home: a write that would supersede the page waits.</summary>
    public bool IsBeingWritten { get; set; }

    /// <summary>A write that supersedes the page is on its way home: everybody else waits.</summary>
    public bool IsBeingSuperseded { get; set; }

    /// <summary>The bits of the granules that a range inside the page touches.</summary>
    public static ulong GranulesOf(int start, int length)
    {
        int first = start / GranuleBytes;
        int count = ((start + length - 1) / GranuleBytes) - first + 1;
        return (count == 64 ? ulong.MaxValue : (1UL << count) - 1) << first;
    }

    /// <summary>It holds nothing, for nowhere.</summary>
    public void Empty()
    {
        Offset = Nowhere;
        Valid = Dirty = 0;
        LastTransaction = 0;
        IsBeingWritten = IsBeingSuperseded = false;
    }

    /// <summary>Writes bytes whose granules are, or with these bytes become, whole.</summary>
    public void Put(int start, ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_content.AsSpan(start));
        Version++;
    }

    public ReadOnlySpan<byte> Content(int start, int length) => _content.AsSpan(start, length);

    /// <summary>The next run of set bits from a granule on.</summary>
    /// <returns>False when there is none.</returns>
    public static bool NextRun(ulong bits, ref int start, out int length)
    {
        length = 0;
        if (start >= Bytes) return false;
        ulong rest = bits >> (start / GranuleBytes);
        if (rest == 0) return false;
        int skip = BitOperations.TrailingZeroCount(rest);
        int count = BitOperations.TrailingZeroCount(~(rest >> skip));
        start += skip * GranuleBytes;
        length = Math.Min(count * GranuleBytes, Bytes - start);
        return true;
    }
}
