using System.Globalization;
using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Stories;

/// <summary>Writes a <see cref="Story"/> as text.</summary>
internal static class StoryText
{
    /// <summary>What fits on a screen and a half; the JSON form has everything.</summary>
    public const int MaxLines = 60;

    // Of a long list half are the last entries and half the telling ones, each of which may stand alone between two counts: with these, MaxLines is kept.
    private const int MostOperations = 10;
    private const int MostRequests = 16;
    private const int MostRequestsOfTwoCuts = 6;

    public static IReadOnlyList<string> Write(Story story)
    {
        List<string> lines =
        [
            $"{story.Pipeline} breaks {story.Invariant}: {story.Expected}",
            .. Pairs(Facts(story)),
            "",
            "the guest",
            .. Elided([.. story.Operations], MostOperations, IsTelling, OperationLines),
        ];
        for (int c = 0; c < story.Cuts.Count; c++)
        {
            StoryCut cut = story.Cuts[c];
            lines.AddRange(["", story.Cuts.Count == 1 ? "the devices" : $"the devices before the {(c == 0 ? "first" : "second")} power cut"]);
            lines.AddRange(Elided([.. cut.Requests], story.Cuts.Count == 1 ? MostRequests : MostRequestsOfTwoCuts, IsTelling, RequestLines, cut.Earlier));
            lines.Add($"  ---- the power goes at tick {cut.Tick}{(cut.During.Length > 0 ? $", {cut.During}" : "")} ----");
        }

        lines.Add("");
        lines.AddRange(Pairs(Findings(story)));
        return lines;
    }

    private static IEnumerable<(string, string)> Facts(Story story)
    {
        if (story.Variant.Length > 0) yield return ("variant", story.Variant);
        yield return ("model", $"{story.Model}, sectors of {story.AtomBytes} bytes");
        yield return ("workload", $"{story.Workload} of seed {story.Seed}{(story.Origin.Length > 0 ? $", {story.Origin}" : "")}; found by {story.Tier}");
        if (story.Shrinking is { } shrinking) yield return ("shrunk", Describe(shrinking));
    }

    private static string Describe(StoryShrinking s) => !s.WasSeenAgain
        ? "no: it was not seen a second time"
        : string.Create(CultureInfo.InvariantCulture, $"from {Count(s.OperationsBefore, "operation")} to {s.Operations}, from {Count(s.LostBefore, "lost part")} to {s.Lost} ({s.Trials} trials, {s.Seconds:0.0} s{(s.IsComplete ? "" : ", then time was up")})");

    private static IEnumerable<(string, string)> Findings(Story story)
    {
        yield return ("expected", story.Expected);
        yield return ("found", story.Found);
        if (story.Healing is { } healing) yield return (healing.Kind == HealingKind.Nothing ? "no healing" : "healed by", healing.Text);
        yield return ("again", story.Repeat);
    }

    private static bool IsTelling(StoryOperation operation) => operation.Fate != "acknowledged" || operation.IsAfterRecovery;

    private static bool IsTelling(StoryRequest request) => request.Fate is RequestFate.Lost or RequestFate.Torn or RequestFate.Failed or RequestFate.UnderWay;

    private static IEnumerable<string> OperationLines(IReadOnlyList<StoryOperation> operations) => Table(operations.Select(operation =>
        new[] { operation.Number.ToString(CultureInfo.InvariantCulture), operation.Text, (operation.IsAfterRecovery ? "after the recovery: " : "") + operation.Fate }));

    private static IEnumerable<string> RequestLines(IReadOnlyList<StoryRequest> requests)
    {
        bool isOneDevice = requests.All(request => request.Device == requests[0].Device);
        return Table(requests.Select(request => isOneDevice
            ? new[] { $"#{request.Index}", request.Text, FateOf(request) }
            : [$"#{request.Index}", request.Device, request.Text, FateOf(request)]));
    }

    private static string FateOf(StoryRequest request) => request.Fate switch
    {
        RequestFate.Durable => "durable",
        RequestFate.Persisted => "persisted",
        RequestFate.Lost => request.Lost == 0 ? "LOST (the file's length)" : "LOST",
        RequestFate.Torn => $"TORN: {request.Lost} of {request.Lost + request.Kept} {PartsOf(request)} lost",
        RequestFate.Failed => "FAILED",
        RequestFate.UnderWay => "under way",
        _ => "",
    };

    private static string PartsOf(StoryRequest request) => request.Kind is TraceKind.Store or TraceKind.StoreNonTemporal ? "words" : "sectors";

    // The telling ones, and the last ones before the cut; the others are counted.
    private static List<string> Elided<T>(T[] items, int most, Predicate<T> isTelling, Func<IReadOnlyList<T>, IEnumerable<string>> write, int before = 0)
    {
        if (items.Length == 0) return [before == 0 ? "  nothing" : $"  … {before} before"];
        var kept = new SortedSet<int>();
        for (int i = items.Length - 1; i >= 0 && kept.Count < most / 2; i--) kept.Add(i);
        for (int i = 0; i < items.Length && kept.Count < most; i++) if (isTelling(items[i])) kept.Add(i);
        for (int i = items.Length - 1; i >= 0 && kept.Count < most; i--) kept.Add(i);
        string[] written = [.. write([.. kept.Select(i => items[i])])];
        var lines = new List<string>();
        int next = 0;
        foreach ((int item, int line) in kept.Select((item, line) => (item, line)))
        {
            if (line == 0 && item + before > 0) lines.Add($"  … {item + before} before");
            else if (item > next) lines.Add($"  … {item - next} more");
            lines.Add(written[line]);
            next = item + 1;
        }

        return lines;
    }

    private static IEnumerable<string> Table(IEnumerable<string[]> rows)
    {
        string[][] all = [.. rows];
        int[] widths = [.. Enumerable.Range(0, all[0].Length).Select(column => all.Max(row => row[column].Length))];
        return all.Select(row => ("  " + string.Join("  ", row.Select((cell, column) => column == 0 ? cell.PadLeft(widths[0]) : cell.PadRight(widths[column])))).TrimEnd());
    }

    private static IEnumerable<string> Pairs(IEnumerable<(string Key, string Value)> pairs)
    {
        (string Key, string Value)[] all = [.. pairs];
        int width = all.Max(pair => pair.Key.Length);
        return all.Select(pair => $"  {pair.Key.PadRight(width)}  {pair.Value.ReplaceLineEndings(" ")}");
    }

    private static string Count(int count, string noun) => count == 1 ? $"1 {noun}" : $"{count} {noun}s";
}
