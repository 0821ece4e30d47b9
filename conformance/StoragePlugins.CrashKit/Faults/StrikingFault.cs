using StoragePlugins.CrashKit.Media;

namespace StoragePlugins.CrashKit.Faults;

/// <summary>Lets a <see cref="DeviceFault"/> happen.</summary>
internal sealed class StrikingFault(DeviceFault fault) : MediumFaults
{
    private const int SectorBytes = 512;

    private int _count;

    /// <summary>It has happened.</summary>
    public bool HasStruck => Volatile.Read(ref _count) > fault.Number;

    public bool IsFinal => fault.IsFinal;

    public override void BeforeWrite(int device, long offset, int length, ContentClass content)
    {
        if (fault.Kind is not (FaultKind.WriteFails or FaultKind.NoSpace or FaultKind.ShortWrite) || !IsTheOne()) return;
        bool isFull = fault.Kind == FaultKind.NoSpace;
        throw new StorageException(isFull ? StorageError.NoSpace : StorageError.Io, "write", "simulated device", offset, length, "injected by the crash kit");
    }

    // A disk writes whole sectors, also of a request that it fails.
    public override int WrittenOfFailed(int device, long offset, int length) =>
        fault.Kind == FaultKind.ShortWrite ? (int)Math.Max(0, ((offset + (length / 2)) / SectorBytes * SectorBytes) - offset) : 0;

    public override void BeforeFlush(int device)
    {
        if (fault.Kind == FaultKind.FlushFails && IsTheOne()) throw Lost("fdatasync");
    }

    public override void BeforeBarrier(int device)
    {
        if (fault.Kind == FaultKind.BarrierFails && IsTheOne()) throw Lost("fdatabarrier");
    }

    private static StorageException Lost(string operation) => new(StorageError.Io, operation, "simulated device", -1, 0, "injected by the crash kit");

    private bool IsTheOne() => Interlocked.Increment(ref _count) - 1 == fault.Number;
}
