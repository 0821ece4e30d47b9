using System.Text.Json;
using System.Text.Json.Serialization;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Runs;

namespace StoragePlugins.CrashKit.Stories;

/// <summary>
/// A failure told to people (<see cref="ToLines"/>) and to programs (<see cref="ToJson"/>): what the guest did, what became of it in the devices, when the power
/// went, what broke, which flush would have healed it.
/// </summary>
public sealed record Story
{
    private static readonly JsonSerializerOptions s_json = new()
    {
        WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
    };

    public required string Pipeline { get; init; }

    public required string Variant { get; init; }

    /// <summary>"disk", "barrier" or "pm".</summary>
    public required string Model { get; init; }

    /// <summary>Bytes that a disk writes whole.</summary>
    public required int AtomBytes { get; init; }

    public required int Seed { get; init; }

    /// <summary>The workload's number.</summary>
    public required long Workload { get; init; }

    /// <summary>How the workload came about.</summary>
    public required string Origin { get; init; }

    /// <summary>The rule that chose the state.</summary>
    public required string Tier { get; init; }

    /// <summary>"I4".</summary>
    public required string Invariant { get; init; }

    /// <summary>What should hold.</summary>
    public required string Expected { get; init; }

    /// <summary>What was seen instead.</summary>
    public required string Found { get; init; }

    /// <summary>The guest's operations.</summary>
    public required IReadOnlyList<StoryOperation> Operations { get; init; }

    /// <summary>The power cuts, one or two, in order; empty when nothing was cut.</summary>
    public required IReadOnlyList<StoryCut> Cuts { get; init; }

    /// <summary>What would have healed it; null when it was not looked for.</summary>
    public StoryHealing? Healing { get; init; }

    /// <summary>What shrinking did; null when it was not tried.</summary>
    public StoryShrinking? Shrinking { get; init; }

    /// <summary>How to see it again.</summary>
    public required string Repeat { get; init; }

    /// <summary>Tells a failure.</summary>
    /// <param name="shrunk">The failure.</param>
    /// <param name="healing">From <see cref="Healer"/>; null to leave that out.</param>
    /// <param name="replayFile">The file that repeats it; null when there is none.</param>
    public static Story Of(ShrunkFailure shrunk, Healing? healing = null, string? replayFile = null)
    {
        ArgumentNullException.ThrowIfNull(shrunk);
        Story story = Of(shrunk.Failure, healing, replayFile);
        return story with
        {
            Origin = shrunk.Original.Workload.Origin,
            Shrinking = new StoryShrinking(
                shrunk.WasSeenAgain, shrunk.IsComplete, OperationsOf(shrunk.Original), OperationsOf(shrunk.Failure), shrunk.LostBefore, shrunk.Lost, shrunk.Trials, Math.Round(shrunk.Elapsed.TotalSeconds, 2)),
        };
    }

    /// <inheritdoc cref="Of(ShrunkFailure, Healing?, string?)"/>
    public static Story Of(CrashFailure failure, Healing? healing = null, string? replayFile = null)
    {
        ArgumentNullException.ThrowIfNull(failure);
        return StoryTeller.Tell(failure, healing, replayFile);
    }

    /// <summary>The text: plain, aligned, at most 60 lines; long lists are elided with counts.</summary>
    public IReadOnlyList<string> ToLines() => StoryText.Write(this);

    /// <summary>The structured form.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, s_json);

    private static int OperationsOf(CrashFailure failure) => failure.Workload.Steps.Sum(step => step.Count);
}

/// <summary>An operation of the guest.</summary>
/// <param name="Number">From 1.</param>
/// <param name="Text">What it was.</param>
/// <param name="Fate">"acknowledged", "under way", "not begun", or what else became of it.</param>
/// <param name="IsAfterRecovery">It was done after the first power cut and the recovery.</param>
public sealed record StoryOperation(int Number, string Text, string Fate, bool IsAfterRecovery);

/// <summary>A power cut.</summary>
/// <param name="Tick">When, on the clock of the trace.</param>
/// <param name="During">What was under way.</param>
/// <param name="Requests">The requests before it, from the oldest that was not durable on, with some of what came before.</param>
/// <param name="Earlier">How many requests came before these, all durable.</param>
public sealed record StoryCut(long Tick, string During, IReadOnlyList<StoryRequest> Requests, int Earlier);

/// <summary>A request to a device.</summary>
/// <param name="Index">Its number in the trace.</param>
/// <param name="Device">Whose.</param>
/// <param name="Kind">What it was.</param>
/// <param name="Class">What it held.</param>
/// <param name="Offset">First byte.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Fate">What the power cut made of it.</param>
/// <param name="Kept">Parts (sectors, lines, words) that were there afterwards; 0 for what was durable anyway.</param>
/// <param name="Lost">Parts that were not.</param>
public sealed record StoryRequest(int Index, string Device, TraceKind Kind, ContentClass Class, long Offset, long Length, RequestFate Fate, int Kept, int Lost)
{
    /// <summary>The request in words.</summary>
    public required string Text { get; init; }
}

/// <summary>What a power cut made of a request.</summary>
public enum RequestFate
{
    /// <summary>It could not be lost any more, or changed nothing.</summary>
    Durable = 0,

    /// <summary>It could have been lost and was not.</summary>
    Persisted,

    /// <summary>It was lost.</summary>
    Lost,

    /// <summary>A part of it was lost.</summary>
    Torn,

    /// <summary>A flush, fence or barrier that returned.</summary>
    Done,

    /// <summary>A flush, fence or barrier that had not returned.</summary>
    UnderWay,

    /// <summary>The device reported a failure.</summary>
    Failed,
}

/// <summary>What would have healed it.</summary>
/// <param name="Kind">What was missing.</param>
/// <param name="After">The request behind which; null for none.</param>
/// <param name="Before">The request before which; null for none.</param>
/// <param name="Text">One sentence.</param>
public sealed record StoryHealing(HealingKind Kind, int? After, int? Before, string Text);

/// <summary>What shrinking did.</summary>
/// <param name="WasSeenAgain">The failure was seen a second time.</param>
/// <param name="IsComplete">It went on until nothing could be left out.</param>
/// <param name="OperationsBefore">Operations of the workload that was found.</param>
/// <param name="Operations">Operations left.</param>
/// <param name="LostBefore">Parts lost in the state that was found.</param>
/// <param name="Lost">Parts still lost.</param>
/// <param name="Trials">States judged and workloads run.</param>
/// <param name="Seconds">Time.</param>
public sealed record StoryShrinking(bool WasSeenAgain, bool IsComplete, int OperationsBefore, int Operations, int LostBefore, int Lost, long Trials, double Seconds);
