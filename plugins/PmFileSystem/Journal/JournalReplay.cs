using System.Buffers.Binary;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Journal;

/// <summary>Recovery: applies what the journal's records say. Idempotent; a crash inside it is harmless.</summary>
internal static class JournalReplay
{
    /// <summary>Applies all records above the floor in their order, and raises the floor. Durable on return.</summary>
    /// <returns>The newest sequence number, and how many records mattered.</returns>
    /// <exception cref="DiagnosticException">SP3206: a record that was acknowledged is missing or makes no sense. Nothing was changed.</exception>
    public static (ulong Newest, int Records) Run(PmRegion region, Home home, ulong floor)
    {
        var records = new List<Found>();
        for (int lane = 0; lane < region.Geometry.Lanes; lane++) Collect(region, lane, floor, records);
        records.Sort(static (a, b) => a.Sequence.CompareTo(b.Sequence));
        foreach (Found record in records) Judge(region, home, record);
        foreach (Found record in records)
        {
            ReadOnlySpan<byte> rest = Body(region, record);
            while (Change.TryTake(ref rest, out Change change))
            {
                home.Apply(change);
                home.Flush(change);
            }
        }

        ulong newest = records.Count == 0 ? floor : records[^1].Sequence;
        region.MakeDurable(0, region.Geometry.Length);
        MetadataJournal.StoreWord(region, PmLayout.FloorOffset, StateWords.PackFloor(newest));
        return (newest, records.Count);
    }

    private static void Collect(PmRegion region, int lane, ulong floor, List<Found> records)
    {
        int bytes = region.Geometry.LaneBytes;
        long start = region.Geometry.Journal + ((long)lane * bytes);
        ReadOnlySpan<byte> ring = region.View(start, bytes);
        int first = records.Count;
        for (int at = 0; at < bytes;)
        {
            int length = LengthOfValid(ring[at..], region.Geometry.RecordSeed);
            if (length == 0)
            {
                at += PmLayout.LineBytes;
                continue;
            }

            ulong sequence = BinaryPrimitives.ReadUInt64LittleEndian(ring[(at + 8)..]);
            if (sequence > floor) records.Add(new Found(sequence, BinaryPrimitives.ReadUInt16LittleEndian(ring[(at + 6)..]), start + at, length, lane));
            at += (int)PmLayout.RoundUp(length, PmLayout.LineBytes);
        }

        records.Sort(first, records.Count - first, Comparer<Found>.Create(static (a, b) => a.Sequence.CompareTo(b.Sequence)));
        for (int i = first + 1; i < records.Count; i++)
        {
            if (records[i].Number != (ushort)(records[i - 1].Number + 1))
                throw Damaged(region, $"lane {lane} lacks record {(ushort)(records[i - 1].Number + 1)} between {records[i - 1].Sequence} and {records[i].Sequence}");
        }
    }

    private static int LengthOfValid(ReadOnlySpan<byte> at, uint seed)
    {
        int length = BinaryPrimitives.ReadUInt16LittleEndian(at[4..]) * sizeof(ulong);
        if (length <= PmLayout.RecordHeaderBytes || length > PmLayout.MostRecordBytes || length > at.Length) return 0;
        return Crc.Of(at[4..length], seed) == BinaryPrimitives.ReadUInt32LittleEndian(at) ? length : 0;
    }

    private static ReadOnlySpan<byte> Body(PmRegion region, Found record) => region.View(record.Offset, record.Length)[PmLayout.RecordHeaderBytes..];

    private static void Judge(PmRegion region, Home home, Found record)
    {
        ReadOnlySpan<byte> rest = Body(region, record);
        while (Change.TryTake(ref rest, out Change change))
            if (!home.IsPossible(change)) throw Damaged(region, $"record {record.Sequence} changes what no record may change");
        if (!rest.IsEmpty) throw Damaged(region, $"record {record.Sequence} makes no sense behind its checksum");
    }

    private static DiagnosticException Damaged(PmRegion region, string how) =>
        new("SP3206", $"the journal is damaged: {how}; nothing was changed", region.Name, fix: "copy the image, then see what 'sphost image check' finds");

    private readonly record struct Found(ulong Sequence, ushort Number, long Offset, int Length, int Lane);
}
