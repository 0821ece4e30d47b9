using System.Runtime.InteropServices;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Check;

/// <summary>A bitmap of the image, read once; pages without a bit take no memory.</summary>
internal sealed class Bitmap
{
    public const int BitsPerWord = 64;

    private readonly PagedTable<ulong> _words;

    public Bitmap(CheckedRegion region, long offset, long bits)
    {
        Bits = Layout.Geometry.BitmapBytes(bits) * 8;
        _words = new PagedTable<ulong>(Bits / BitsPerWord);
        byte[] buffer = new byte[PmLayout.BlockBytes];
        for (long at = 0; at < Bits / 8; at += buffer.Length)
        {
            region.Read(offset + at, buffer);
            ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(buffer.AsSpan());
            for (int i = 0; i < words.Length; i++)
            {
                if (words[i] != 0) _words[(at / sizeof(ulong)) + i] = words[i];
            }
        }
    }

    /// <summary>Bits, padding included.</summary>
    public long Bits { get; }

    public bool this[long bit] => ((_words.Peek(bit / BitsPerWord) >> (int)(bit % BitsPerWord)) & 1) != 0;

    /// <summary>The 64 bits from one on.</summary>
    /// <param name="first">A multiple of 64.</param>
    public ulong WordAt(long first) => _words.Peek(first / BitsPerWord);

    /// <summary>The bits that are set, in order.</summary>
    public IEnumerable<long> All()
    {
        for (int page = 0; page < _words.Pages; page++)
        {
            if (_words.Page(page) is not { } words) continue;
            for (int i = 0; i < words.Length; i++)
            {
                for (ulong left = words[i]; left != 0; left &= left - 1)
                    yield return (((long)page * PagedTable<ulong>.PageEntries) + i) * BitsPerWord + System.Numerics.BitOperations.TrailingZeroCount(left);
            }
        }
    }
}
