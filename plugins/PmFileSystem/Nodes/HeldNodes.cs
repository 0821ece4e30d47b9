namespace StoragePlugins.PmFileSystem.Nodes;

/// <summary>How often each inode is held, and which files have space mapped ahead of their end. Thread-safe. As many entries as the holder keeps nodes.</summary>
internal sealed class HeldNodes
{
    private const int Stripes = 64;

    private readonly Dictionary<uint, long>[] _counts = [.. Enumerable.Range(0, Stripes).Select(_ => new Dictionary<uint, long>())];
    private readonly HashSet<uint>[] _ahead = [.. Enumerable.Range(0, Stripes).Select(_ => new HashSet<uint>())];

    public void Hold(uint inode)
    {
        Dictionary<uint, long> counts = _counts[inode % Stripes];
        lock (counts) System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(counts, inode, out _)++;
    }

    /// <summary>Lets go.</summary>
    /// <returns>True when nobody holds it any more.</returns>
    public bool Release(uint inode, long count)
    {
        Dictionary<uint, long> counts = _counts[inode % Stripes];
        lock (counts)
        {
            if (!counts.TryGetValue(inode, out long held)) return false;
            if (held > count)
            {
                counts[inode] = held - count;
                return false;
            }

            counts.Remove(inode);
            return true;
        }
    }

    /// <summary>Nobody holds anything any more.</summary>
    public void ReleaseAll()
    {
        foreach (Dictionary<uint, long> counts in _counts)
            lock (counts) counts.Clear();
    }

    public bool IsHeld(uint inode)
    {
        Dictionary<uint, long> counts = _counts[inode % Stripes];
        lock (counts) return counts.ContainsKey(inode);
    }

    /// <summary>Space was mapped behind the end of a file.</summary>
    public void NoteAhead(uint inode)
    {
        HashSet<uint> ahead = _ahead[inode % Stripes];
        lock (ahead) ahead.Add(inode);
    }

    /// <summary>Asks for it, and forgets it.</summary>
    public bool TakeAhead(uint inode)
    {
        HashSet<uint> ahead = _ahead[inode % Stripes];
        lock (ahead) return ahead.Remove(inode);
    }

    /// <summary>All files with space mapped ahead.</summary>
    public uint[] AllAhead() => [.. _ahead.SelectMany(ahead =>
    {
        lock (ahead) return ahead.ToArray();
    })];
}
