namespace StoragePlugins.BarrierOverheadBench;

/// <summary>What a disk was asked for and what it did, since it was opened or as a difference.</summary>
/// <param name="GuestWrites">Write requests of the guest.</param>
/// <param name="GuestFlushes">Flushes of the guest.</param>
/// <param name="MetadataWrites">Writes of qcow2 metadata to the image.</param>
/// <param name="Barriers">Barriers.</param>
/// <param name="HostFlushes">fdatasyncs of the image.</param>
/// <param name="Transactions">Transactions of the guest file system's journal; 0 without one.</param>
/// <param name="Processor">Processor time of the disk's process, which does not depend on what else the machine does; 0 where it has none of its own.</param>
internal readonly record struct Counts(
    long GuestWrites, long GuestFlushes, long MetadataWrites, long Barriers, long HostFlushes, long Transactions = 0, TimeSpan Processor = default)
{
    /// <summary>Of a meter; the guest file system's part stays 0.</summary>
    public static Counts Of(StorageMeter meter)
    {
        MeterReading reading = meter.Read();
        long metadata = reading.HostWritesByClass.Sum() - reading.HostWritesByClass[(int)ContentClass.GuestData] - reading.HostWritesByClass[(int)ContentClass.Preallocation];
        return new Counts(reading.GuestWrites, reading.GuestFlushes, metadata, reading.Barriers, reading.HostFlushes);
    }

    /// <summary>Together.</summary>
    public static Counts operator +(Counts one, Counts other) => new(
        one.GuestWrites + other.GuestWrites, one.GuestFlushes + other.GuestFlushes, one.MetadataWrites + other.MetadataWrites, one.Barriers + other.Barriers,
        one.HostFlushes + other.HostFlushes, one.Transactions + other.Transactions, one.Processor + other.Processor);

    /// <summary>What came after an earlier reading.</summary>
    public static Counts operator -(Counts later, Counts earlier) => new(
        later.GuestWrites - earlier.GuestWrites, later.GuestFlushes - earlier.GuestFlushes, later.MetadataWrites - earlier.MetadataWrites, later.Barriers - earlier.Barriers,
        later.HostFlushes - earlier.HostFlushes, later.Transactions - earlier.Transactions, later.Processor - earlier.Processor);
}
