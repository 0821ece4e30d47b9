using System.Buffers.Binary;

namespace StoragePlugins.CrashKit.TraceFiles;

/// <summary>
/// Where things are in a dm-log-writes log: one sector with the super, then per entry one sector with its header, followed by the data of the write.
/// All numbers are little-endian.
/// </summary>
/// <remarks>Sources: linux Documentation/admin-guide/device-mapper/log-writes.rst, drivers/md/dm-log-writes.c; QEMU block/blklogwrites.c.</remarks>
internal static class LogLayout
{
    public const ulong Magic = 0x006a_7366_7773_6872;
    public const ulong Version = 1;

    /// <summary>magic, version, nr_entries: 64 bits each; sectorsize: 32.</summary>
    public const int SuperBytes = 28;

    /// <summary>sector, nr_sectors, flags, data_len: 64 bits each.</summary>
    public const int EntryBytes = 32;

    public const int MinSectorBytes = 512;

    /// <summary>The largest logical block that a Linux device has; entries and marks are read a sector at a time.</summary>
    public const int MaxSectorBytes = 64 << 10;

    public const LogFlags KnownFlags = LogFlags.Flush | LogFlags.Fua | LogFlags.Discard | LogFlags.Mark | LogFlags.Metadata;

    public static void WriteSuper(Span<byte> sector, long entries)
    {
        sector.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(sector, Magic);
        BinaryPrimitives.WriteUInt64LittleEndian(sector[8..], Version);
        BinaryPrimitives.WriteInt64LittleEndian(sector[16..], entries);
        BinaryPrimitives.WriteInt32LittleEndian(sector[24..], sector.Length);
    }

    public static void WriteEntry(Span<byte> sector, long first, long count, LogFlags flags, ReadOnlySpan<byte> text = default)
    {
        sector.Clear();
        BinaryPrimitives.WriteInt64LittleEndian(sector, first);
        BinaryPrimitives.WriteInt64LittleEndian(sector[8..], count);
        BinaryPrimitives.WriteInt64LittleEndian(sector[16..], (long)flags);
        BinaryPrimitives.WriteInt64LittleEndian(sector[24..], text.Length);
        text.CopyTo(sector[EntryBytes..]);
    }
}
