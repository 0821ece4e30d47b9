using System.Buffers.Binary;

namespace StoragePlugins.Host.NbdTesting;

/// <summary>What a test writes at the start of each sector, so that whoever reads it later knows which write of which run it was.</summary>
/// <param name="Run">When the run began, in ticks of UTC.</param>
/// <param name="Plan">What the run did.</param>
/// <param name="Write">Number of the write.</param>
/// <param name="Offset">Where the sector belongs.</param>
internal readonly record struct TestStamp(long Run, NbdTestPlan Plan, int Write, long Offset)
{
    /// <summary>What no device tears.</summary>
    public const int SectorBytes = 512;

    /// <summary>"SPNBDTST".</summary>
    private const ulong Magic = 0x53504e4244545354;

    private const int StampBytes = 56;

    // The rest of a sector depends on the write, so that one of another write's is seen.
    private static ulong FillOf(long run, int write) => ((ulong)run * 0x9E3779B97F4A7C15) ^ ((ulong)write * 0xD1B54A32D192ED03) | 1;

    /// <summary>Fills a block for a write.</summary>
    public static void Fill(Span<byte> block, long run, NbdTestPlan plan, int write)
    {
        long offset = (long)plan.BlockOf(write) * plan.BlockBytes;
        ulong fill = FillOf(run, write);
        for (int at = 0; at < block.Length; at += SectorBytes)
        {
            Span<byte> sector = block.Slice(at, SectorBytes);
            Header(sector, run, plan, write, offset + at);
            for (int i = StampBytes; i < SectorBytes; i += sizeof(ulong)) BinaryPrimitives.WriteUInt64LittleEndian(sector[i..], fill);
        }
    }

    /// <summary>Reads a sector.</summary>
    /// <returns>Null when it holds no stamp, or not all of one write's sector.</returns>
    public static TestStamp? Read(ReadOnlySpan<byte> sector)
    {
        if (BinaryPrimitives.ReadUInt64BigEndian(sector) != Magic) return null;
        long run = BinaryPrimitives.ReadInt64LittleEndian(sector[8..]);
        int write = BinaryPrimitives.ReadInt32LittleEndian(sector[24..]);
        var plan = new NbdTestPlan(
            (NbdTestWorkload)sector[28], (NbdTestSync)sector[29], BinaryPrimitives.ReadInt32LittleEndian(sector[32..]), BinaryPrimitives.ReadInt32LittleEndian(sector[36..]),
            BinaryPrimitives.ReadInt32LittleEndian(sector[40..]), BinaryPrimitives.ReadInt32LittleEndian(sector[44..]));
        ulong fill = FillOf(run, write);
        for (int i = StampBytes; i < SectorBytes; i += sizeof(ulong))
        {
            if (BinaryPrimitives.ReadUInt64LittleEndian(sector[i..]) != fill) return null;
        }

        return new TestStamp(run, plan, write, BinaryPrimitives.ReadInt64LittleEndian(sector[16..]));
    }

    private static void Header(Span<byte> sector, long run, NbdTestPlan plan, int write, long offset)
    {
        sector[..StampBytes].Clear();
        BinaryPrimitives.WriteUInt64BigEndian(sector, Magic);
        BinaryPrimitives.WriteInt64LittleEndian(sector[8..], run);
        BinaryPrimitives.WriteInt64LittleEndian(sector[16..], offset);
        BinaryPrimitives.WriteInt32LittleEndian(sector[24..], write);
        (sector[28], sector[29]) = ((byte)plan.Workload, (byte)plan.Sync);
        BinaryPrimitives.WriteInt32LittleEndian(sector[32..], plan.Operations);
        BinaryPrimitives.WriteInt32LittleEndian(sector[36..], plan.BlockBytes);
        BinaryPrimitives.WriteInt32LittleEndian(sector[40..], plan.FlushEvery);
        BinaryPrimitives.WriteInt32LittleEndian(sector[44..], plan.Seed);
    }
}
