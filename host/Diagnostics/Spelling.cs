namespace StoragePlugins.Host.Diagnostics;

/// <summary>"Did you mean …?"</summary>
internal static class Spelling
{
    /// <summary>The candidate nearest to the word, when near enough to be a slip: one edit, or one in three letters.</summary>
    public static string? Closest(string word, IEnumerable<string> candidates)
    {
        string? best = null;
        int bestDistance = int.MaxValue;
        foreach (string candidate in candidates)
        {
            int distance = Distance(word.ToLowerInvariant(), candidate.ToLowerInvariant());
            if (distance < bestDistance) (best, bestDistance) = (candidate, distance);
        }

        return best is not null && bestDistance <= Math.Max(1, Math.Max(word.Length, best.Length) / 3) ? best : null;
    }

    /// <summary>The sentence for a message: a guess, or all the choices.</summary>
    public static string Suggest(string word, IReadOnlyCollection<string> candidates)
        => Closest(word, candidates) is { } guess ? $"did you mean '{guess}'?"
            : candidates.Count == 0 ? "there is none to choose from"
            : $"one of {string.Join(", ", candidates.Order(StringComparer.Ordinal))} is possible";

    /// <summary>Edits (insert, delete, replace, swap of neighbours) from one word to the other: Damerau-Levenshtein, optimal string alignment.</summary>
    public static int Distance(string left, string right)
    {
        var table = new int[left.Length + 1, right.Length + 1];
        for (int i = 0; i <= left.Length; i++) table[i, 0] = i;
        for (int j = 0; j <= right.Length; j++) table[0, j] = j;
        for (int i = 1; i <= left.Length; i++)
        {
            for (int j = 1; j <= right.Length; j++)
            {
                int cost = left[i - 1] == right[j - 1] ? 0 : 1;
                int least = Math.Min(Math.Min(table[i - 1, j] + 1, table[i, j - 1] + 1), table[i - 1, j - 1] + cost);
                bool swapped = i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1];
                table[i, j] = swapped ? Math.Min(least, table[i - 2, j - 2] + 1) : least;
            }
        }

        return table[left.Length, right.Length];
    }
}
