using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Stories;

/// <summary>Gathers a <see cref="Story"/> from a failure.</summary>
internal static class StoryTeller
{
    // Durable requests that are shown before the first one that could be lost: the ground that it stands on.
    private const int Background = 3;

    public static Story Tell(CrashFailure failure, Healing? healing, string? replayFile)
    {
        string repeat = replayFile is not null ? $"sphost crash-test --replay {replayFile}" : $"seed {failure.Seed}, workload {failure.WorkloadIndex} of the same pipeline and variant";
        return new Story
        {
            Pipeline = failure.Pipeline.Name,
            Variant = failure.Pipeline.Variant,
            Model = failure.Settings.Model.ToString().ToLowerInvariant(),
            AtomBytes = failure.Settings.AtomBytes,
            Seed = failure.Seed,
            Workload = failure.WorkloadIndex,
            Origin = failure.Workload.Origin,
            Tier = failure.Tier.ToString().ToLowerInvariant(),
            Invariant = failure.Invariant.Number(),
            Expected = failure.Invariant.Meaning(),
            Found = failure.Message,
            Operations = [.. Operations(failure)],
            Cuts = [.. Cuts(failure)],
            Healing = healing is null ? null : new StoryHealing(healing.Kind, healing.After?.Index, healing.Before?.Index, healing.Text),
            Repeat = repeat,
        };
    }

    private static IEnumerable<StoryOperation> Operations(CrashFailure failure)
    {
        long cut = failure.State?.Tick ?? long.MaxValue;
        foreach (StoryOperation operation in Operations(failure.Run, failure.Workload, cut, isAfterRecovery: false)) yield return operation;
        if (failure.State?.Second is not { Run: { } run, Continuation: { } continuation } second) yield break;
        foreach (StoryOperation operation in Operations(run, continuation, second.Broken?.Tick ?? long.MaxValue, isAfterRecovery: true)) yield return operation;
    }

    private static IEnumerable<StoryOperation> Operations(WorkloadRun? run, Workload workload, long cut, bool isAfterRecovery)
    {
        ILookup<int, OperationRecord> records = (run?.History.Operations ?? []).ToLookup(record => record.Number);
        int number = 0;
        foreach (GuestOperation operation in workload.Steps.SelectMany(step => step))
        {
            OperationRecord? record = records[++number].FirstOrDefault();
            string fate = record is null || record.Span.Begin > cut ? "not begun" : record.Outcome ?? (record.Span.End <= cut && record.Span.End != long.MaxValue ? "acknowledged" : "under way");
            yield return new StoryOperation(number, operation.ToString(), fate, isAfterRecovery);
        }

        // What the kit did after an injected failure.
        foreach (OperationRecord proof in records[0]) yield return new StoryOperation(++number, proof.Operation.ToString(), proof.Outcome ?? "acknowledged", isAfterRecovery);
    }

    private static IEnumerable<StoryCut> Cuts(CrashFailure failure)
    {
        if (Scene.FirstOf(failure, Sight.Plain()) is { } first) yield return CutOf(first, "");
        if (Scene.SecondOf(failure) is { } second) yield return CutOf(second, failure.State!.Second!.Run is null ? "the recovery" : "the work after the recovery");
    }

    private static StoryCut CutOf(Scene scene, string what) => CutOf(scene.Trace, scene.PointAt(scene.Broken.Tick), scene.Broken.Choice, what);

    /// <summary>A power cut: the requests before it, from the oldest that was not durable on.</summary>
    internal static StoryCut CutOf(Trace trace, CrashPoint point, StateChoice choice, string what)
    {
        long tick = point.Tick;
        var fates = new RequestFates(point, choice);
        StoryRequest[] requests = [.. trace.Events.Where(entry => entry.Begin <= tick).Select(entry => RequestOf(entry, tick, fates, point.Machine.Devices[entry.Device].Name))];
        int open = Array.FindIndex(requests, request => request.Fate is RequestFate.Persisted or RequestFate.Lost or RequestFate.Torn or RequestFate.Failed);
        int from = Math.Max(0, (open < 0 ? requests.Length : open) - Background);
        TraceEvent? underWay = trace.Events.LastOrDefault(entry => entry.Begin <= tick && entry.End > tick);
        string during = string.Join(", ", new[] { what, underWay is null ? "" : $"#{underWay.Index} under way" }.Where(part => part.Length > 0));
        return new StoryCut(tick, during, requests[from..], from);
    }

    private static StoryRequest RequestOf(TraceEvent entry, long tick, RequestFates fates, string device)
    {
        (int kept, int lost) = fates.PartsOf(entry);
        RequestFate fate = entry.HasFailed ? RequestFate.Failed
            : !entry.ChangesContent ? (entry.End > tick ? RequestFate.UnderWay : RequestFate.Done)
            : lost > 0 ? (kept > 0 ? RequestFate.Torn : RequestFate.Lost)
            : fates.IsGrowthLost(entry) ? RequestFate.Lost
            : kept > 0 ? RequestFate.Persisted : RequestFate.Durable;
        string text = entry.ToString();
        return new StoryRequest(entry.Index, device, entry.Kind, entry.Content, entry.Offset, entry.Length, fate, kept, lost) { Text = text[(text.IndexOf(' ', StringComparison.Ordinal) + 1)..] };
    }
}
