namespace StoragePlugins.CrashKit.Stories;

/// <summary>Delta debugging: the fewest of a list of things with which something still happens.</summary>
internal static class Reduction
{
    /// <summary>Leaves out ever smaller parts until no single thing can be left out any more.</summary>
    /// <param name="items">With all of them it happens.</param>
    /// <param name="stillHappens">Whether it happens with these only.</param>
    /// <returns>A part of the list, in its order, of which no single thing can be left out.</returns>
    public static List<T> Minimal<T>(IReadOnlyList<T> items, Func<IReadOnlyList<T>, bool> stillHappens)
    {
        List<T> left = [.. items];
        if (left.Count == 0 || stillHappens([])) return [];
        for (int parts = 2; left.Count > 1;)
        {
            parts = Math.Min(parts, left.Count);
            if (SmallerBy(left, parts, stillHappens) is { } smaller)
            {
                left = smaller;
                parts = Math.Max(2, parts - 1);
            }
            else if (parts == left.Count)
            {
                break;
            }
            else
            {
                parts *= 2;
            }
        }

        return left;
    }

    // One part alone, or all but one part.
    private static List<T>? SmallerBy<T>(List<T> left, int parts, Func<IReadOnlyList<T>, bool> stillHappens)
    {
        for (int p = 0; p < parts; p++)
        {
            List<T> part = left[(left.Count * p / parts)..(left.Count * (p + 1) / parts)];
            if (stillHappens(part)) return part;
        }

        for (int p = parts - 1; parts > 2 && p >= 0; p--)
        {
            List<T> rest = [.. left[..(left.Count * p / parts)], .. left[(left.Count * (p + 1) / parts)..]];
            if (stillHappens(rest)) return rest;
        }

        return null;
    }
}
