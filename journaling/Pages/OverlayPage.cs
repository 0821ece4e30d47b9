using System.Numerics;
using System.Runtime.CompilerServices;

namespace StoragePlugins.Journaling;

/// <summary>4 KiB of home as reads are to see them. Everything but the number of a free page is guarded by its stripe's lock.</summary>
internal sealed class OverlayPage
{
    /// <summary>What an L2 entry's neighbourhood and a guest's small write have in common: the size of a page of the host's cache.</summary>
    public const int Size = 4096;
    public const int Bits = 12;

    /// <summary>One bit of <see cref="Dirty"/> stands for this many bytes.</summary>
    public const int GranuleBytes = Size / 64;

    /// <summary>What a guest is promised whole.</summary>
    public const int SectorBytes = 512;

    public byte[] Bytes { get; } = new byte[Size];

    /// <summary>Home offset / 4096; −1 while the page is free.</summary>
    public long Number { get; set; } = -1;

    /// <summary>Granules that no record holds yet.</summary>
    public ulong Dirty { get; set; }

    /// <summary>Granules that ride in the record that is being written.</summary>
    public ulong Riding { get; set; }

    /// <summary>The newest record that concerns the page; 0 for none.</summary>
    public ulong LastTxid { get; set; }

    /// <summary>After-images of the transaction under way that need the page; it stays as long.</summary>
    public int Pins { get; set; }

    /// <summary>Whether the page is in the list of dirty pages. Guarded by that list's lock.</summary>
    public bool IsListed { get; set; }

    public long Offset => Number << Bits;

    /// <summary>Whether a record or a write that no record holds yet needs the page.</summary>
    public bool IsIdle => (Dirty | Riding) == 0 && Pins == 0;

    /// <summary>The granules that a range inside the page touches.</summary>
    public static ulong Mask(int from, int length)
    {
        int first = from / GranuleBytes;
        int last = (from + length - 1) / GranuleBytes;
        return (ulong.MaxValue >> (63 - (last - first))) << first;
    }

    public static int BytesOf(ulong mask) => BitOperations.PopCount(mask) * GranuleBytes;
}

/// <summary>A part of a request inside one page.</summary>
/// <param name="Page">The page's number.</param>
/// <param name="InPage">First byte inside the page.</param>
/// <param name="At">First byte inside the request.</param>
/// <param name="Length">Bytes, at least 1.</param>
internal readonly record struct PagePart(long Page, int InPage, int At, int Length)
{
    public bool IsWhole => Length == OverlayPage.Size;

    /// <summary>The granules of all sectors that the part touches. A record never holds less of a guest's sector: replayed over a later write of the
    /// sector that a checkpoint had brought home, it would leave a mixture of both.</summary>
    public ulong Mask
    {
        get
        {
            int start = InPage & -OverlayPage.SectorBytes;
            return OverlayPage.Mask(start, ((InPage + Length + OverlayPage.SectorBytes - 1) & -OverlayPage.SectorBytes) - start);
        }
    }

    /// <summary>The part that begins at byte <paramref name="at"/> of a range.</summary>
    public static PagePart Of(long offset, int at, int length)
    {
        long start = offset + at;
        int inPage = (int)(start & (OverlayPage.Size - 1));
        return new PagePart(start >> OverlayPage.Bits, inPage, at, Math.Min(length - at, OverlayPage.Size - inPage));
    }
}

/// <summary>A set of pages of one region, by their place in a request.</summary>
[InlineArray(5)]
internal struct PageSet
{
    private ulong _first;

    /// <summary>Adds the page at a place, 0 … <see cref="PageTable.RegionBytes"/> / 4096.</summary>
    public void Add(int index) => this[index >> 6] |= 1UL << (index & 63);

    public readonly bool Has(int index) => (this[index >> 6] >> (index & 63) & 1) != 0;
}
