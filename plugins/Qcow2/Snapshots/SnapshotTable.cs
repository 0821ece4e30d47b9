using System.Buffers.Binary;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Snapshots;

/// <summary>The table of internal snapshots: a sequence of entries of varying length, each aligned to 8 bytes. Source: docs/interop/qcow2, "Snapshots".</summary>
/// <param name="Snapshots">In the table's order.</param>
/// <param name="ByteLength">Bytes that the table takes in the image, to the end of its last name.</param>
internal sealed record SnapshotTable(IReadOnlyList<Snapshot> Snapshots, int ByteLength)
{
    private const int FixedBytes = 40;

    /// <summary>64-bit size of the machine state, size of the disk: what version 3 demands of the extra data.</summary>
    private const int KnownExtraBytes = 16;

    /// <summary>QEMU's limit for one entry's extra data.</summary>
    private const int MaxExtraBytes = 1024;

    /// <summary>Reads the table that the header names.</summary>
    /// <exception cref="DiagnosticException">SP3015: it ends beyond the file, or is larger than allowed.</exception>
    public static SnapshotTable Read(IStorageMedium medium, Qcow2Header header)
    {
        var snapshots = new List<Snapshot>(Math.Min(header.SnapshotCount, 1024));
        long at = 0, end = 0;
        byte[] fixedPart = new byte[FixedBytes];
        for (int i = 0; i < header.SnapshotCount; i++)
        {
            ReadExactly(medium, header.SnapshotsOffset + at, fixedPart, i);
            int idLength = BinaryPrimitives.ReadUInt16BigEndian(fixedPart.AsSpan(12));
            int nameLength = BinaryPrimitives.ReadUInt16BigEndian(fixedPart.AsSpan(14));
            uint extraLength = BinaryPrimitives.ReadUInt32BigEndian(fixedPart.AsSpan(36));
            if (extraLength > MaxExtraBytes) throw Fault(medium, i, "has too much extra data", $"at most {MaxExtraBytes} bytes", extraLength.ToString());
            byte[] rest = new byte[extraLength + idLength + nameLength];
            ReadExactly(medium, header.SnapshotsOffset + at + FixedBytes, rest, i);
            end = at + FixedBytes + rest.Length;
            if (end > Qcow2Layout.MaxSnapshotTableBytes) throw Fault(medium, i, "is beyond the table's largest size", $"at most {Qcow2Layout.MaxSnapshotTableBytes} bytes", end.ToString());
            snapshots.Add(Parse(fixedPart, rest, (int)extraLength, idLength));
            at = Align(end);
        }

        return new SnapshotTable(snapshots, (int)end);
    }

    /// <summary>The bytes of a table with these snapshots. Version 3 demands a disk size of every entry: set it where it is null before writing one.</summary>
    /// <exception cref="DiagnosticException">SP3015: too many snapshots, or too large a table.</exception>
    public static byte[] Serialize(IReadOnlyList<Snapshot> snapshots)
    {
        long total = 0;
        foreach (Snapshot s in snapshots) total = Align(total) + EntryBytes(s);
        if (snapshots.Count > Qcow2Layout.MaxSnapshots || total > Qcow2Layout.MaxSnapshotTableBytes)
            throw new DiagnosticException("SP3015", "the snapshot table becomes too large", expected: $"at most {Qcow2Layout.MaxSnapshots} snapshots and {Qcow2Layout.MaxSnapshotTableBytes} bytes",
                found: $"{snapshots.Count} and {total}", fix: "delete snapshots that are no longer needed");
        byte[] table = new byte[total];
        int at = 0;
        foreach (Snapshot s in snapshots)
        {
            at = (int)Align(at);
            Write(table.AsSpan(at, EntryBytes(s)), s);
            at += EntryBytes(s);
        }

        return table;
    }

    private static Snapshot Parse(ReadOnlySpan<byte> b, byte[] rest, int extraLength, int idLength)
    {
        ReadOnlySpan<byte> extra = rest.AsSpan(0, extraLength);
        return new Snapshot
        {
            L1TableOffset = BinaryPrimitives.ReadInt64BigEndian(b),
            L1Size = BinaryPrimitives.ReadInt32BigEndian(b[8..]),
            StoredId = rest.AsMemory(extraLength, idLength),
            StoredName = rest.AsMemory(extraLength + idLength),
            DateSeconds = BinaryPrimitives.ReadUInt32BigEndian(b[16..]),
            DateNanoseconds = BinaryPrimitives.ReadUInt32BigEndian(b[20..]),
            VmClockNanoseconds = BinaryPrimitives.ReadUInt64BigEndian(b[24..]),
            VmStateBytes = extraLength >= 8 ? BinaryPrimitives.ReadUInt64BigEndian(extra) : BinaryPrimitives.ReadUInt32BigEndian(b[32..]),
            DiskBytes = extraLength >= KnownExtraBytes ? BinaryPrimitives.ReadInt64BigEndian(extra[8..]) : null,
            FurtherExtraData = rest.AsMemory(Math.Min(KnownExtraBytes, extraLength), Math.Max(0, extraLength - KnownExtraBytes)),
        };
    }

    private static void Write(Span<byte> b, Snapshot s)
    {
        BinaryPrimitives.WriteInt64BigEndian(b, s.L1TableOffset);
        BinaryPrimitives.WriteInt32BigEndian(b[8..], s.L1Size);
        BinaryPrimitives.WriteUInt16BigEndian(b[12..], checked((ushort)s.StoredId.Length));
        BinaryPrimitives.WriteUInt16BigEndian(b[14..], checked((ushort)s.StoredName.Length));
        BinaryPrimitives.WriteUInt32BigEndian(b[16..], s.DateSeconds);
        BinaryPrimitives.WriteUInt32BigEndian(b[20..], s.DateNanoseconds);
        BinaryPrimitives.WriteUInt64BigEndian(b[24..], s.VmClockNanoseconds);
        BinaryPrimitives.WriteUInt32BigEndian(b[32..], s.VmStateBytes <= uint.MaxValue ? (uint)s.VmStateBytes : 0);
        int extraLength = s.DiskBytes is null ? 8 : KnownExtraBytes + s.FurtherExtraData.Length;
        BinaryPrimitives.WriteInt32BigEndian(b[36..], extraLength);
        BinaryPrimitives.WriteUInt64BigEndian(b[FixedBytes..], s.VmStateBytes);
        if (s.DiskBytes is { } disk)
        {
            BinaryPrimitives.WriteInt64BigEndian(b[(FixedBytes + 8)..], disk);
            s.FurtherExtraData.Span.CopyTo(b[(FixedBytes + KnownExtraBytes)..]);
        }

        s.StoredId.Span.CopyTo(b[(FixedBytes + extraLength)..]);
        s.StoredName.Span.CopyTo(b[(FixedBytes + extraLength + s.StoredId.Length)..]);
    }

    private static int EntryBytes(Snapshot s) =>
        FixedBytes + (s.DiskBytes is null ? 8 : KnownExtraBytes + s.FurtherExtraData.Length) + s.StoredId.Length + s.StoredName.Length;

    private static long Align(long at) => (at + 7) & ~7L;

    private static void ReadExactly(IStorageMedium medium, long offset, Span<byte> buffer, int index)
    {
        int got = medium.Read(offset, buffer);
        if (got < buffer.Length) throw Fault(medium, index, "ends beyond the file", $"{buffer.Length} bytes at {offset}", got.ToString());
    }

    private static DiagnosticException Fault(IStorageMedium medium, int index, string what, string expected, string found) =>
        new("SP3015", $"entry {index} of the snapshot table {what}", medium.Name, expected, found, "restore the image from a copy; nothing was changed");
}
