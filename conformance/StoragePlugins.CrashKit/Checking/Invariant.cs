namespace StoragePlugins.CrashKit.Checking;

/// <summary>What must hold of every state that a power cut leaves.</summary>
public enum Invariant
{
    /// <summary>The image opens.</summary>
    I1Opens = 1,

    /// <summary>Recovery ends, and writes nowhere but where it may.</summary>
    I2RecoveryEnds,

    /// <summary>The format's check finds no corruption, and leaks only where the strategy may leak.</summary>
    I3CheckIsClean,

    /// <summary>What was flushed reads back.</summary>
    I4Durable,

    /// <summary>What was not flushed reads as its old or a later submitted value, never as anything else.</summary>
    I5OldOrNew,

    /// <summary>Nothing overtakes a guest's barrier.</summary>
    I6Order,

    /// <summary>What is promised as atomic is whole or not there.</summary>
    I7Atomic,

    /// <summary>The metadata agree with each other.</summary>
    I8MetadataAgree,

    /// <summary>Recovering twice, or after a power cut inside the recovery, is recovering once.</summary>
    I9RecoveryIsIdempotent,

    /// <summary>Work can go on after a recovery, and survives the next power cut.</summary>
    I10GoesOn,

    /// <summary>Snapshots that were acknowledged are there, unchanged.</summary>
    I11SnapshotsUnchanged,

    /// <summary>A program that knows nothing of the strategy reads the recovered image alike.</summary>
    I12ForeignReaderAgrees,

    /// <summary>A failure of the device is told to the guest, and never acknowledged later.</summary>
    I13FailuresAreTold,

    /// <summary>Damage on a device does no harm, is seen, or stays with the data that it hit.</summary>
    I14DamageIsSeen,
}

/// <summary>An invariant does not hold.</summary>
public sealed class InvariantBrokenException : Exception
{
    /// <summary>Says which, and how it was seen.</summary>
    public InvariantBrokenException(Invariant invariant, string message, Exception? inner = null) : base(message, inner) => Invariant = invariant;

    /// <summary>Which.</summary>
    public Invariant Invariant { get; }
}

/// <summary>How invariants are shown.</summary>
public static class InvariantText
{
    /// <summary>"I4".</summary>
    public static string Number(this Invariant invariant) => $"I{(int)invariant}";

    /// <summary>What it says, in one sentence.</summary>
    public static string Meaning(this Invariant invariant) => invariant switch
    {
        Invariant.I1Opens => "the image opens",
        Invariant.I2RecoveryEnds => "recovery ends, and writes only where it may",
        Invariant.I3CheckIsClean => "the format's check finds no corruption",
        Invariant.I4Durable => "what was flushed reads back",
        Invariant.I5OldOrNew => "what was not flushed reads as its old or a later value, never as anything else",
        Invariant.I6Order => "nothing overtakes a guest's barrier",
        Invariant.I7Atomic => "what is promised as atomic is whole or not there",
        Invariant.I8MetadataAgree => "the metadata agree with each other",
        Invariant.I9RecoveryIsIdempotent => "recovering twice is recovering once",
        Invariant.I10GoesOn => "work goes on after a recovery and survives the next power cut",
        Invariant.I11SnapshotsUnchanged => "acknowledged snapshots are there, unchanged",
        Invariant.I12ForeignReaderAgrees => "a program that knows nothing of the strategy reads the image alike",
        Invariant.I14DamageIsSeen => "damage on a device does no harm, is seen, or stays with the data that it hit",
        _ => "a failure of the device is told to the guest, and never acknowledged later",
    };
}
