namespace StoragePlugins.Mutants;

/// <summary>A protection that can be taken out.</summary>
/// <param name="Id">strategy.what</param>
/// <param name="Kind">flush, barrier, fence, checksum, salt, revoke, reservation, order, copy, poison; "none" for what only helps another one.</param>
/// <param name="File">Its source, from the repository's root.</param>
/// <param name="Says">What it is for.</param>
/// <param name="Original">Lines as they stand in the source, once.</param>
/// <param name="Replacement">What takes their place in the test build.</param>
public sealed record MutantEntry(string Id, string Kind, string File, string Says, string Original, string Replacement)
{
    /// <summary>The workload of seed 1 that found it when the table was written: where a quick run looks first.</summary>
    public long FoundAt { get; init; }
}

/// <summary>The table <c>tests/Mutants/mutants.txt</c>.</summary>
public static class MutantTable
{
    /// <summary>Reads it; its format is described at its head.</summary>
    public static IReadOnlyList<MutantEntry> Read(string path)
    {
        var entries = new List<MutantEntry>();
        string id = "", kind = "", file = "", says = "";
        long foundAt = 0;
        List<string> original = [], replacement = [];
        foreach (string line in File.ReadLines(path).Append("= "))
        {
            if (line.StartsWith("= ", StringComparison.Ordinal))
            {
                if (id.Length > 0) entries.Add(new MutantEntry(id, kind, file, says, string.Join('\n', original), string.Join('\n', replacement).Replace("$)", $"Mutant.Is(\"{id}\"))", StringComparison.Ordinal)) { FoundAt = foundAt });
                foundAt = 0;
                id = line[2..].Trim();
                (original, replacement) = ([], []);
            }
            else if (line.StartsWith('-'))
            {
                original.Add(line[1..]);
            }
            else if (line.StartsWith('+'))
            {
                replacement.Add(line[1..]);
            }
            else if (line.Split(' ', 2) is [var key, var value] && key != "#")
            {
                if (key == "kind") kind = value;
                else if (key == "file") file = value;
                else if (key == "says") says = value;
                else if (key == "at") foundAt = long.Parse(value, System.Globalization.CultureInfo.InvariantCulture);
                else throw new FormatException($"{path}: '{line}' is neither kind, file, says nor at");
            }
        }

        return entries;
    }

    /// <summary>A source with its mutants built in.</summary>
    /// <exception cref="FormatException">A protection is not where the table says, or there twice.</exception>
    public static string Patch(string text, IEnumerable<MutantEntry> entries)
    {
        foreach (MutantEntry entry in entries)
        {
            int at = text.IndexOf(entry.Original, StringComparison.Ordinal);
            if (at < 0) throw new FormatException($"mutant {entry.Id}: {entry.File} does not have these lines any more: {entry.Original}");
            if (text.IndexOf(entry.Original, at + 1, StringComparison.Ordinal) >= 0) throw new FormatException($"mutant {entry.Id}: {entry.File} has these lines twice: {entry.Original}");
            text = string.Concat(text.AsSpan(0, at), entry.Replacement, text.AsSpan(at + entry.Original.Length));
        }

        return text;
    }
}
