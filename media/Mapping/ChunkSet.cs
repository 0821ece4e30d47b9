namespace StoragePlugins.Media.Mapping;

/// <summary>A set of small numbers, a bit each. Asked without a lock; changed under one of the caller's.</summary>
internal sealed class ChunkSet
{
    private long[] _words = new long[16];

    /// <summary>A chunk removed meanwhile may still be reported.</summary>
    public bool Contains(long chunk)
    {
        long[] words = Volatile.Read(ref _words);
        long word = chunk >> 6;
        return word < words.Length && (Volatile.Read(ref words[word]) >> (int)(chunk & 63) & 1) != 0;
    }

    public void Add(long chunk)
    {
        long word = chunk >> 6;
        if (word >= _words.Length)
        {
            long[] larger = new long[Math.Max(word + 1, 2L * _words.Length)];
            _words.CopyTo(larger, 0);
            Volatile.Write(ref _words, larger);
        }

        Volatile.Write(ref _words[word], _words[word] | (1L << (int)(chunk & 63)));
    }

    /// <summary>Removes a range of chunks, both ends included.</summary>
    public void Remove(long first, long last)
    {
        last = Math.Min(last, (_words.Length * 64L) - 1);
        for (long chunk = first; chunk <= last; chunk++) Volatile.Write(ref _words[chunk >> 6], _words[chunk >> 6] & ~(1L << (int)(chunk & 63)));
    }

    /// <summary>Removes a chunk and all behind it.</summary>
    public void RemoveFrom(long first) => Remove(first, long.MaxValue);
}
