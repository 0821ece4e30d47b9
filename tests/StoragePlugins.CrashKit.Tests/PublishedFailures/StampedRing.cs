using System.Buffers.Binary;
using System.Numerics;

namespace StoragePlugins.CrashKit.Tests.PublishedFailures;

/// <summary>
/// A ring of sectors on a disk or in mapped memory. A sector: its record's number (8 bytes), its place in the record and the record's sectors (2, 2), a checksum
/// or zero (4), 496 bytes of content.
/// </summary>
internal sealed class StampedRing(IStorageMedium medium, IPersistentMemory? memory, bool hasChecksums) : IDisposable
{
    private const int SectorBytes = 512;
    private const int HeadBytes = 16;
    private const int Sectors = 16;

    // Some records of three sectors cross the end of a ring of sixteen.
    private const int LeastSectors = 3;
    private const string Location = "stamped-ring";

    private ulong _number;
    private int _next;

    /// <summary>Opens the ring, and makes it where it is not; null when it is not and must not be made.</summary>
    public static StampedRing? Open(StrategyContext context, bool isReadOnly, bool hasChecksums)
    {
        IStorageMedium medium;
        try
        {
            medium = context.OpenMedium(new MediumRequest { Location = Location, Create = !isReadOnly, ReadOnly = isReadOnly, OpenInner = () => throw new NotSupportedException() });
        }
        catch (DiagnosticException missing) when (missing.InnerException is FileNotFoundException)
        {
            return null;
        }

        if (medium.Length < Sectors * SectorBytes)
        {
            if (isReadOnly) return null;
            medium.SetLength(Sectors * SectorBytes);
            medium.GetCapability<IFlushableMedium>()!.FlushAll();
        }

        IPersistentMemory? memory = medium.GetCapability<IMappableMedium>()?.Map(new MappingRequest { Emulated = true });
        var ring = new StampedRing(medium, memory, hasChecksums);
        _ = ring.Newest();
        return ring;
    }

    /// <summary>Finds the newest record that is there, and makes ready to append behind it.</summary>
    /// <returns>Its content; and whether there is the second half of a newer one that crossed the ring's end, though nothing of the first.</returns>
    public (byte[] Content, bool HasHalf) Newest()
    {
        byte[][] sectors = [.. Enumerable.Range(0, Sectors).Select(Read)];
        int start = -1;
        ulong newest = 0;
        for (int s = 0; s < Sectors; s++)
        {
            if (Place(sectors[s]) == 0 && Number(sectors[s]) > newest && IsWhole(sectors, s)) (start, newest) = (s, Number(sectors[s]));
        }

        // A number is never used again: what is left of a torn record would make a whole one of two halves.
        _number = sectors.Max(Number);
        if (start < 0) return ([], false);
        int count = Count(sectors[start]);
        _next = (start + count) % Sectors;
        ulong half = Number(sectors[0]);
        bool hasHalf = half > newest && Place(sectors[0]) > 0 && IsSound(sectors[0]) && Enumerable.Range(1, Place(sectors[0])).All(back => Number(sectors[Sectors - back]) != half);
        return ([.. Enumerable.Range(0, count).SelectMany(i => sectors[(start + i) % Sectors][HeadBytes..])], hasHalf);
    }

    /// <summary>Appends a record; durable on return.</summary>
    public void Append(ReadOnlySpan<byte> content)
    {
        const int room = SectorBytes - HeadBytes;
        int count = Math.Max(LeastSectors, (content.Length + room - 1) / room);
        if (count > Sectors / 2) throw new InvalidOperationException("the record is too long for the ring");
        byte[] record = new byte[count * SectorBytes];
        _number++;
        for (int i = 0; i < count; i++)
        {
            Span<byte> sector = record.AsSpan(i * SectorBytes, SectorBytes);
            BinaryPrimitives.WriteUInt64LittleEndian(sector, _number);
            BinaryPrimitives.WriteUInt16LittleEndian(sector[8..], (ushort)i);
            BinaryPrimitives.WriteUInt16LittleEndian(sector[10..], (ushort)count);
            ReadOnlySpan<byte> part = content[Math.Min(content.Length, i * room)..Math.Min(content.Length, (i + 1) * room)];
            part.CopyTo(sector[HeadBytes..]);
            if (hasChecksums) BinaryPrimitives.WriteUInt32LittleEndian(sector[12..], Checksum(sector));
        }

        int first = Math.Min(count, Sectors - _next);
        Write(_next, record.AsSpan(0, first * SectorBytes));
        if (first < count) Write(0, record.AsSpan(first * SectorBytes));
        if (memory is null) medium.GetCapability<IFlushableMedium>()!.FlushData();
        _next = (_next + count) % Sectors;
    }

    public void Dispose() => medium.Dispose();

    private static ulong Number(byte[] sector) => BinaryPrimitives.ReadUInt64LittleEndian(sector);

    private static int Place(byte[] sector) => BinaryPrimitives.ReadUInt16LittleEndian(sector.AsSpan(8));

    private static int Count(byte[] sector) => BinaryPrimitives.ReadUInt16LittleEndian(sector.AsSpan(10));

    private static uint Checksum(ReadOnlySpan<byte> sector)
    {
        uint crc = uint.MaxValue;
        for (int i = 0; i < SectorBytes; i += 4) if (i != 12) crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt32LittleEndian(sector[i..]));
        return crc;
    }

    private bool IsSound(byte[] sector) => !hasChecksums || BinaryPrimitives.ReadUInt32LittleEndian(sector.AsSpan(12)) == Checksum(sector);

    private bool IsWhole(byte[][] sectors, int start)
    {
        int count = Count(sectors[start]);
        return count is > 0 and <= Sectors / 2
            && Enumerable.Range(0, count).All(i => sectors[(start + i) % Sectors] is var sector && Number(sector) == Number(sectors[start]) && Place(sector) == i && Count(sector) == count && IsSound(sector));
    }

    private byte[] Read(int sector)
    {
        byte[] bytes = new byte[SectorBytes];
        if (memory is not null) memory.View(sector * SectorBytes, SectorBytes).CopyTo(bytes);
        else medium.Read(sector * SectorBytes, bytes);
        return bytes;
    }

    private void Write(int sector, ReadOnlySpan<byte> bytes)
    {
        if (memory is null)
        {
            medium.Write(sector * SectorBytes, bytes, ContentClass.JournalRecord);
            return;
        }

        memory.StoreNonTemporal(sector * SectorBytes, bytes);
        memory.Persist(sector * SectorBytes, bytes.Length);
    }
}
