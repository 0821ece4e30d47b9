namespace StoragePlugins.Host.Comparison;

/// <summary>What reached the host's storage.</summary>
/// <param name="HostFlushes">Flushes that were waited for.</param>
/// <param name="Barriers">Barriers that were not.</param>
/// <param name="WrittenBytes">Bytes written, without preallocation.</param>
/// <param name="PreallocatedBytes">Zeros written ahead of use.</param>
internal readonly record struct StorageCounts(long HostFlushes, long Barriers, long WrittenBytes, long PreallocatedBytes)
{
    /// <summary>The counts of a meter.</summary>
    public static StorageCounts Of(StorageMeter meter)
    {
        MeterReading reading = meter.Read();
        long preallocated = reading.HostBytesByClass[(int)ContentClass.Preallocation];
        return new StorageCounts(reading.HostFlushes, reading.Barriers, reading.HostWrittenBytes - preallocated, preallocated);
    }

    /// <summary>What came after an earlier reading.</summary>
    public static StorageCounts operator -(StorageCounts later, StorageCounts earlier) => new(
        later.HostFlushes - earlier.HostFlushes, later.Barriers - earlier.Barriers, later.WrittenBytes - earlier.WrittenBytes, later.PreallocatedBytes - earlier.PreallocatedBytes);

    /// <summary>Together.</summary>
    public static StorageCounts operator +(StorageCounts one, StorageCounts other) => new(
        one.HostFlushes + other.HostFlushes, one.Barriers + other.Barriers, one.WrittenBytes + other.WrittenBytes, one.PreallocatedBytes + other.PreallocatedBytes);
}
