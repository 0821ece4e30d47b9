namespace StoragePlugins.Journaling;

/// <summary>Dual mode (Chen et al., FAST '16): what becomes of small guest writes.</summary>
public enum DualMode
{
    /// <summary>What the device's own flushes say pays: see <see cref="DualModeChoice"/>.</summary>
    Auto = 0,

    /// <summary>They ride in the next record, and go home with a checkpoint.</summary>
    On,

    /// <summary>They go home at once.</summary>
    Off,
}
