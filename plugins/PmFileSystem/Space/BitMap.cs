using System.Numerics;

namespace StoragePlugins.PmFileSystem.Space;

/// <summary>A range of bits in memory with searches for runs of zeros. Not thread-safe.</summary>
internal sealed class BitMap(ulong[] words)
{
    public long Length => words.Length * 64L;

    public bool this[long bit] => (words[bit >> 6] >> (int)(bit & 63) & 1) != 0;

    public long CountZeros(long from, long to)
    {
        long zeros = 0;
        for (long bit = from; bit < to;)
        {
            if ((bit & 63) == 0 && to - bit >= 64)
            {
                // Whole words, most of them.
                foreach (ulong word in words.AsSpan((int)(bit >> 6), (int)((to - bit) >> 6))) zeros += BitOperations.PopCount(~word);
                bit = to & ~63L;
                continue;
            }

            long next = Math.Min(to, (bit | 63) + 1);
            zeros += (next - bit) - BitOperations.PopCount(words[bit >> 6] & Mask(bit, next));
            bit = next;
        }

        return zeros;
    }

    /// <summary>The first bit of this value at or behind a place; <paramref name="to"/> when there is none before it.</summary>
    public long Find(bool value, long from, long to)
    {
        if (from >= to) return to;
        ulong flip = value ? 0 : ulong.MaxValue;
        long word = from >> 6;
        ulong bits = (words[word] ^ flip) & (ulong.MaxValue << (int)(from & 63));
        while (bits == 0)
        {
            if (++word << 6 >= to) return to;
            bits = words[word] ^ flip;
        }

        return Math.Min(to, (word << 6) + BitOperations.TrailingZeroCount(bits));
    }

    public void Set(long first, long count, bool value)
    {
        for (long bit = first, end = first + count; bit < end;)
        {
            long next = Math.Min(end, (bit | 63) + 1);
            ulong mask = Mask(bit, next);
            if (value) words[bit >> 6] |= mask;
            else words[bit >> 6] &= ~mask;
            bit = next;
        }
    }

    // Bits from (inclusive) to (exclusive) of one word.
    private static ulong Mask(long from, long to) => (to - from == 64 ? ulong.MaxValue : (1UL << (int)(to - from)) - 1) << (int)(from & 63);
}
