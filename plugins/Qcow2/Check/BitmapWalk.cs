using System.Buffers.Binary;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Check;

/// <summary>Counts what QEMU's persistent dirty bitmaps occupy. Their content does not matter here. Source: docs/interop/qcow2, "Bitmaps".</summary>
internal static class BitmapWalk
{
    private const int EntryFixedBytes = 24;

    /// <summary>The directory of 65535 bitmaps with names of 1023 bytes.</summary>
    private const int MaxDirectoryBytes = 65535 * (EntryFixedBytes + 1024);

    /// <summary>QEMU's limit for a bitmap's own bytes.</summary>
    private const long MaxBitmapBytes = 512L << 20;

    private const int MaxNameBytes = 1023;
    private const uint InUseFlag = 1;
    private const uint KnownFlags = 3;
    private const byte DirtyTrackingType = 1;

    private const ulong TableReservedMask = 0xff00_0000_0000_01fe;

    public static void Run(ImageScan scan)
    {
        // Without the autoclear bit the extension is stale: a program that does not know bitmaps has written since.
        HeaderExtension? extension = scan.Header.OtherExtensions.FirstOrDefault(e => e.Type == Qcow2Layout.ExtensionBitmaps);
        if (extension is null || (scan.Header.AutoclearFeatures & Qcow2Features.Bitmaps) == 0) return;
        ReadOnlySpan<byte> data = extension.Data.Span;
        if (data.Length < EntryFixedBytes)
        {
            scan.Unreadable($"the bitmaps extension has {data.Length} bytes instead of {EntryFixedBytes}");
            return;
        }

        uint count = BinaryPrimitives.ReadUInt32BigEndian(data);
        ulong length = BinaryPrimitives.ReadUInt64BigEndian(data[8..]);
        ulong offset = BinaryPrimitives.ReadUInt64BigEndian(data[16..]);
        if (length is 0 or > MaxDirectoryBytes || offset == 0 || !IsInFile(scan, offset, length))
        {
            scan.Unreadable($"the bitmap directory ({length} bytes at {offset}) is not an aligned place in the file of at most {MaxDirectoryBytes} bytes");
            return;
        }

        scan.AddRange((long)offset, (long)length, ClusterUse.Bitmap);
        byte[] directory = new byte[length];
        scan.ReadCluster((long)offset, directory);
        WalkDirectory(scan, directory, count);
    }

    private static void WalkDirectory(ImageScan scan, byte[] directory, uint count)
    {
        int at = 0;
        for (uint i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> entry = directory.AsSpan(at);
            long entryBytes = entry.Length < EntryFixedBytes ? long.MaxValue
                : (EntryFixedBytes + (long)BinaryPrimitives.ReadUInt16BigEndian(entry[18..]) + BinaryPrimitives.ReadUInt32BigEndian(entry[20..]) + 7) & ~7L;
            if (entryBytes > entry.Length)
            {
                scan.Unreadable($"entry {i} of the bitmap directory ends beyond the directory");
                return;
            }

            if (DescribeFault(scan, entry) is { } fault)
            {
                scan.Unreadable($"entry {i} of the bitmap directory {fault}");
                return;
            }

            WalkTable(scan, i, BinaryPrimitives.ReadUInt64BigEndian(entry), BinaryPrimitives.ReadUInt32BigEndian(entry[8..]));
            at += (int)entryBytes;
        }

        if (at != directory.Length) scan.Findings.Corruption($"the bitmap directory has {directory.Length} bytes, its {count} entries take {at}");
    }

    private static string? DescribeFault(ImageScan scan, ReadOnlySpan<byte> entry)
    {
        long bitmapBytes = (long)BinaryPrimitives.ReadUInt32BigEndian(entry[8..]) << scan.Header.ClusterBits;
        uint flags = BinaryPrimitives.ReadUInt32BigEndian(entry[12..]);
        (byte type, byte granularityBits) = (entry[16], entry[17]);
        int nameBytes = BinaryPrimitives.ReadUInt16BigEndian(entry[18..]);
        if ((flags & ~KnownFlags) != 0) return $"has unknown flags ({flags:x8})";
        if (type != DirtyTrackingType) return $"has the unknown type {type}";
        if (granularityBits is < 9 or > 31) return $"has a granularity of 2^{granularityBits} bytes";
        if (nameBytes is 0 or > MaxNameBytes) return $"has a name of {nameBytes} bytes";
        if (BinaryPrimitives.ReadUInt32BigEndian(entry[20..]) != 0) return "has extra data, which nobody knows";
        if (bitmapBytes is 0 or > MaxBitmapBytes) return $"has a bitmap of {bitmapBytes} bytes";
        // A bit for each granule of the disk. Bitmaps in use are stale, and QEMU does not look at their size.
        long bits = (scan.Header.Size >> granularityBits) + ((scan.Header.Size & ((1L << granularityBits) - 1)) == 0 ? 0 : 1);
        long right = ((bits + 7) / 8 + scan.Header.ClusterSize - 1) >> scan.Header.ClusterBits << scan.Header.ClusterBits;
        return bitmapBytes != right && (flags & InUseFlag) == 0 ? $"has a bitmap of {bitmapBytes} bytes where the disk needs {right}" : null;
    }

    private static void WalkTable(ImageScan scan, uint bitmap, ulong offset, uint entries)
    {
        long bytes = entries * (long)sizeof(ulong);
        if (offset == 0 || !IsInFile(scan, offset, (ulong)bytes))
        {
            scan.Unreadable($"the table of bitmap {bitmap} ({entries} entries at {offset}) is not an aligned place in the file");
            return;
        }

        if (!scan.MayReadRoot(bytes, $"the table of bitmap {bitmap}")) return;
        scan.AddRange((long)offset, bytes, ClusterUse.Bitmap);
        byte[] piece = new byte[Math.Min(bytes, 64 << 10)];
        for (long done = 0; done < bytes; done += piece.Length)
        {
            Span<byte> read = piece.AsSpan(0, (int)Math.Min(piece.Length, bytes - done));
            scan.ReadCluster((long)offset + done, read);
            for (int i = 0; i < read.Length; i += sizeof(ulong)) VisitTableEntry(scan, bitmap, BinaryPrimitives.ReadUInt64BigEndian(read[i..]));
        }
    }

    private static void VisitTableEntry(ImageScan scan, uint bitmap, ulong entry)
    {
        ulong offset = entry & Qcow2Layout.OffsetMask;
        if ((entry & TableReservedMask) != 0 || (offset != 0 && (entry & 1) != 0))
        {
            scan.Findings.Corruption($"an entry ({entry:x16}) of the table of bitmap {bitmap} has reserved bits set");
            return;
        }

        if (offset == 0) return;
        if (scan.IsClusterInFile(offset, out string fault)) scan.Map.Add((long)(offset >> scan.Header.ClusterBits), ClusterUse.Bitmap, 1);
        else scan.Findings.Corruption($"an entry of the table of bitmap {bitmap} points to {offset}, which is {fault}");
    }

    private static bool IsInFile(ImageScan scan, ulong offset, ulong length) =>
        (offset & ((ulong)scan.Header.ClusterSize - 1)) == 0 && offset <= (ulong)scan.FileLength && length <= (ulong)scan.FileLength - offset;
}
