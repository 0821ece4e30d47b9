namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>Filebench's file set: names that exist, names that do not, and names that somebody has open, whom nobody else gets.</summary>
/// <remarks>Thread-safe.</remarks>
/// <param name="folder">Where the files are.</param>
/// <param name="seed">Picks the same way each time with one thread.</param>
internal sealed class MailFiles(string folder, int seed)
{
    private readonly Lock _lock = new();
    private readonly List<int> _existing = [];
    private readonly List<int> _absent = [];
    private readonly Random _random = new(seed);

    /// <summary>Names that exist and are not open.</summary>
    public int Existing
    {
        get
        {
            lock (_lock) return _existing.Count;
        }
    }

    /// <summary>Path of a name.</summary>
    public string PathOf(int name) => Path.Combine(folder, name.ToString("D8", System.Globalization.CultureInfo.InvariantCulture));

    /// <summary>Takes a name; it is nobody else's until it is given back.</summary>
    /// <param name="exists">One that exists, or one that does not.</param>
    /// <returns>Null when there is none.</returns>
    public int? Take(bool exists)
    {
        lock (_lock)
        {
            List<int> names = exists ? _existing : _absent;
            if (names.Count == 0) return null;
            int index = _random.Next(names.Count), name = names[index];
            names[index] = names[^1];
            names.RemoveAt(names.Count - 1);
            return name;
        }
    }

    /// <summary>Gives a name back, or adds it.</summary>
    public void Give(int name, bool exists)
    {
        lock (_lock) (exists ? _existing : _absent).Add(name);
    }
}
