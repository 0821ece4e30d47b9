namespace StoragePlugins.CrashKit.Faults;

/// <summary>An error that a device reports while a workload runs, once.</summary>
/// <param name="Kind">One of those that a running system meets: up to <see cref="FaultKind.ShortWrite"/>.</param>
/// <param name="Number">Which call fails: so many of its kind, of all devices, go well before it.</param>
public sealed record DeviceFault(FaultKind Kind, int Number)
{
    /// <summary>After it nothing is ever acknowledged again: the contract of <see cref="IOrderedMedium"/>.</summary>
    public bool IsFinal => Kind is FaultKind.FlushFails or FaultKind.BarrierFails;

    /// <inheritdoc/>
    public override string ToString() => $"{Kind} #{Number}";
}
