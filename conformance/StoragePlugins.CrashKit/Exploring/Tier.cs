namespace StoragePlugins.CrashKit.Exploring;

/// <summary>By which rule a state was chosen, or a failure found. Cheap rules come first.</summary>
public enum Tier
{
    /// <summary>All that was submitted is there: a cut with nothing reordered.</summary>
    Prefix = 0,

    /// <summary>All that may be lost is lost.</summary>
    AllLost,

    /// <summary>Whole requests there or lost: all subsets of few, of many each one, each pair.</summary>
    Requests,

    /// <summary>Single sectors, lines or words there or lost.</summary>
    Atoms,

    /// <summary>One request torn, the others all there or all lost.</summary>
    Torn,

    /// <summary>Seeded random choices.</summary>
    Random,

    /// <summary>The power goes again while recovery runs.</summary>
    Recovery,

    /// <summary>Work goes on after the recovery, and the power goes again.</summary>
    Continued,

    /// <summary>A device that errs: a failed flush, an unreadable or rotten sector, a lost or misdirected write.</summary>
    Fault,

    /// <summary>Nothing crashed: the running system itself gave a wrong answer.</summary>
    Live,
}
