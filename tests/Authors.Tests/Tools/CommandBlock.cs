namespace StoragePlugins.Authors.Tests;

/// <summary>The commands that a README tells its reader to run, in its fenced blocks without a language.</summary>
internal static class CommandBlock
{
    /// <summary>The lines of the blocks after a heading or sentence, to the end of the first block behind it.</summary>
    public static IReadOnlyList<string> After(string markdown, string sentence)
    {
        string[] lines = markdown.Split('\n');
        int heading = Array.FindIndex(lines, line => line.Contains(sentence, StringComparison.Ordinal));
        Assert.True(heading >= 0, $"'{sentence}' is not in the text");
        int start = Array.IndexOf(lines, "```", heading), end = Array.IndexOf(lines, "```", start + 1);
        return lines[(start + 1)..end];
    }

    /// <summary>The lines of each such block, in order.</summary>
    public static IReadOnlyList<IReadOnlyList<string>> All(string markdown)
    {
        var blocks = new List<IReadOnlyList<string>>();
        string[] lines = markdown.Split('\n');
        for (int at = 0; at < lines.Length; at++)
        {
            if (!lines[at].StartsWith("```", StringComparison.Ordinal)) continue;
            int end = Array.IndexOf(lines, "```", at + 1);
            if (lines[at] == "```") blocks.Add(lines[(at + 1)..end]);
            at = end;
        }

        return blocks;
    }

    /// <summary>The same command in a time that a test has: word for word but for its budget.</summary>
    public static string Hastened(string command) => command switch
    {
        _ when command.StartsWith("sphost conformance ", StringComparison.Ordinal) => command + " --budget 1s",
        _ when command.StartsWith("sphost crash-test ", StringComparison.Ordinal) => command.Replace("--budget 60s", "--budget 1s --workers 2", StringComparison.Ordinal),
        _ => command,
    };
}
