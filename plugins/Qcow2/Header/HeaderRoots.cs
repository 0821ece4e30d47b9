using System.Buffers.Binary;

namespace StoragePlugins.Qcow2.Header;

/// <summary>The header's fields from the size to the snapshot table: everything that an operation on the whole image changes. They lie within the first
/// sector, so that one write changes them together or not at all.</summary>
/// <param name="Size">Guest bytes.</param>
/// <param name="L1Size">Entries.</param>
/// <param name="L1TableOffset">Bytes.</param>
/// <param name="RefcountTableOffset">Bytes.</param>
/// <param name="RefcountTableClusters">Clusters.</param>
/// <param name="SnapshotCount">Entries.</param>
/// <param name="SnapshotsOffset">Bytes; 0 without snapshots.</param>
internal readonly record struct HeaderRoots(
    long Size, int L1Size, long L1TableOffset, long RefcountTableOffset, int RefcountTableClusters, int SnapshotCount, long SnapshotsOffset)
{
    /// <summary>Where they begin.</summary>
    public const int Offset = Qcow2Layout.SizeFieldOffset;

    public static HeaderRoots Of(Qcow2Header header) => new(
        header.Size, header.L1Size, header.L1TableOffset, header.RefcountTableOffset, header.RefcountTableClusters, header.SnapshotCount, header.SnapshotsOffset);

    public void ApplyTo(Qcow2Header header)
    {
        header.Size = Size;
        (header.L1Size, header.L1TableOffset) = (L1Size, L1TableOffset);
        (header.RefcountTableOffset, header.RefcountTableClusters) = (RefcountTableOffset, RefcountTableClusters);
        (header.SnapshotCount, header.SnapshotsOffset) = (SnapshotCount, SnapshotsOffset);
    }

    public byte[] Encode()
    {
        byte[] fields = new byte[Qcow2Layout.IncompatibleFeaturesOffset - Offset];
        Span<byte> b = fields;
        BinaryPrimitives.WriteInt64BigEndian(b, Size);
        // The encryption method between the two stays 0: encrypted images are refused.
        BinaryPrimitives.WriteInt32BigEndian(b[(Qcow2Layout.L1FieldsOffset - Offset)..], L1Size);
        BinaryPrimitives.WriteInt64BigEndian(b[(Qcow2Layout.L1FieldsOffset + 4 - Offset)..], L1TableOffset);
        BinaryPrimitives.WriteInt64BigEndian(b[(Qcow2Layout.RefcountTableFieldsOffset - Offset)..], RefcountTableOffset);
        BinaryPrimitives.WriteInt32BigEndian(b[(Qcow2Layout.RefcountTableFieldsOffset + 8 - Offset)..], RefcountTableClusters);
        BinaryPrimitives.WriteInt32BigEndian(b[(Qcow2Layout.SnapshotFieldsOffset - Offset)..], SnapshotCount);
        BinaryPrimitives.WriteInt64BigEndian(b[(Qcow2Layout.SnapshotFieldsOffset + 4 - Offset)..], SnapshotsOffset);
        return fields;
    }
}
