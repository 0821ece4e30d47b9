using System.Buffers.Binary;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Tests.Check;

public class JournalReplayTests
{
    private const int Set = 1, Fill = 2, Ascend = 3, TakeBlocks = 4, FreeBlocks = 5, TakeInodes = 6, FreeInodes = 7, Orphan = 8, NoOrphan = 9;

    private readonly ImageBuilder _image = ImageBuilder.Sample();

    public JournalReplayTests() => _image.Put64(PmLayout.StateOffset, StateWords.PackState(7, inUse: true));

    [Fact]
    public void Records_above_the_floor_are_applied_before_anything_is_judged()
    {
        MakeFile(out ulong block);
        CheckReport report = _image.Check();
        Assert.Equal((0, 0), (report.Corruptions, report.Leaks));
        Assert.Contains("with 2 records", Assert.Single(report.Findings), StringComparison.Ordinal);
        Assert.Equal(0, (_image.Bytes[_image.Geometry.BlockBitmap + ((long)block / 8)] >> (int)(block % 8)) & 1);
    }

    [Fact]
    public void Records_up_to_the_floor_are_not_applied()
    {
        Record(lane: 0, place: 0, number: 5, sequence: 1000, Change(FreeBlocks, 1, _image.Node("plain").BlockOf("data")));
        Assert.Equal(0, _image.Check().Corruptions);
    }

    [Fact]
    public void Records_are_applied_in_the_order_of_their_sequence_numbers_whatever_their_lanes()
    {
        long block = _image.Node("plain").BlockOf("data");
        Record(lane: 0, place: 64, number: 9, sequence: 1003, Change(TakeBlocks, 1, block));
        Record(lane: 1, place: 4096, number: 3, sequence: 1002, Change(FreeBlocks, 1, block));
        CheckReport report = _image.Check();
        Assert.Equal((0, 0), (report.Corruptions, report.Leaks));
    }

    [Fact]
    public void Words_are_filled_and_ascend()
    {
        // The second leaf of "deep" gets its places anew, one word after the other; then a map of a file is written as ascending numbers.
        long index = _image.Index("deep");
        ulong[] leaves = [.. _image.Node("deep").Blocks.Where(b => b.Use == "leaf").Select(b => (ulong)b.Block)];
        Record(0, 0, 1, 1001, [.. Change(Fill, 2, index), .. Word(leaves[0])]);
        Record(0, 64, 2, 1002, [.. Change(Fill, 2, index + 16), .. Word(leaves[1])]);
        long direct = _image.Geometry.InodeOffset(_image.Node("plain").Number) + 128;
        Record(0, 128, 3, 1003, [.. Change(Ascend, 2, direct), .. Word((ulong)_image.Node("plain").BlockOf("data"))]);
        _image.Bytes.AsSpan((int)index, 32).Clear();
        _image.Bytes.AsSpan((int)direct, 16).Clear();
        CheckReport report = _image.Check();
        Assert.Equal((0, 0), (report.Corruptions, report.Leaks));
    }

    [Fact]
    public void Inodes_are_taken_and_orphaned()
    {
        uint free = _image.Geometry.Inodes - 1;
        var record = new InodeRecord { Mode = ImageBuilder.FileMode };
        record.Checksum = record.ComputeChecksum(free);
        Record(0, 0, 1, 1001, [.. Change(TakeInodes, 1, free), .. Change(Orphan, 1, free), .. Change(Set, 256, _image.Geometry.InodeOffset(free)), .. record.AsBytes()]);
        Assert.Equal((0, 0), Counts());
        Record(0, 320, 2, 1002, Change(NoOrphan, 1, free));
        Assert.Equal((0, 1), Counts());
    }

    [Fact]
    public void A_record_that_wraps_begins_at_the_start_of_its_lane()
    {
        int last = _image.Geometry.LaneBytes - 64;
        Record(0, last, 65535, 1001, Nothing);
        Record(0, 0, 0, 1002, Nothing);
        Assert.Equal((0, 0), Counts());
    }

    [Fact]
    public void A_gap_in_a_lane_is_damage()
    {
        for (int i = 0; i < 3; i++) Record(0, i * 64, (ushort)(7 + i), 1001 + (ulong)i, Nothing);
        Assert.Equal((0, 0), Counts());
        _image.Bytes[_image.Geometry.Journal + 64 + 20] ^= 1;
        Assert.Contains(_image.Check().Findings, line => line.Contains("a gap in lane 0", StringComparison.Ordinal));
    }

    [Fact]
    public void A_record_that_is_not_whole_does_not_matter()
    {
        Record(0, 0, 7, 1001, Change(FreeBlocks, 1, _image.Node("plain").BlockOf("data")));
        Assert.NotEqual((0, 0), Counts());
        _image.Bytes[_image.Geometry.Journal + 17] ^= 4;
        Assert.Equal((0, 0), Counts());
    }

    [Fact]
    public void A_closed_image_has_no_record_that_matters()
    {
        Record(0, 0, 7, 1001, Nothing);
        _image.Put64(PmLayout.StateOffset, StateWords.PackState(7, inUse: false));
        Assert.Contains(_image.Check().Findings, line => line.Contains("are above the floor", StringComparison.Ordinal));
    }

    [Fact]
    public void Two_records_with_one_sequence_number_are_damage()
    {
        Record(0, 0, 7, 1001, Nothing);
        Record(1, 0, 7, 1001, Nothing);
        Assert.Contains(_image.Check().Findings, line => line.Contains("two records have the sequence number 1001", StringComparison.Ordinal));
    }

    public static TheoryData<int, int, long> Senseless => new()
    {
        { 0, 8, 0 }, { 15, 8, 0 }, { Set, 0, 1 << 20 }, { Set, 8, 0 }, { TakeBlocks, 0, 200 }, { Set, 4, 1 << 20 }, { Set, 8, (1 << 20) + 4 }, { Set, 8, 4096 }, { Set, 8, (2 << 20) - 4096 }, { Fill, 65535, (2 << 20) - 65536 },
        { TakeBlocks, 1, 0 }, { TakeBlocks, 1, 511 }, { FreeBlocks, 65535, 200 }, { TakeInodes, 1, 0 }, { Orphan, 65535, 1 },
    };

    [Theory]
    [MemberData(nameof(Senseless))]
    public void Changes_that_make_no_sense_are_damage_and_are_not_applied(int kind, int count, long place)
    {
        Record(0, 0, 7, 1001, [.. Change(kind, count, place), .. Word(1)]);
        CheckReport report = _image.Check();
        Assert.Equal((1, 0), (report.Corruptions, report.Leaks));
        Assert.Contains(report.Findings, line => line.Contains("makes no sense", StringComparison.Ordinal));
    }

    [Fact]
    public void A_change_longer_than_its_record_is_damage()
    {
        Record(0, 0, 7, 1001, [.. Change(Set, 4096, 1 << 20), .. Word(1)]);
        Assert.Contains(_image.Check().Findings, line => line.Contains("makes no sense", StringComparison.Ordinal));
    }

    // A file takes the place, and the name, of the pipe in "sub": two records of two lanes.
    private void MakeFile(out ulong block)
    {
        uint inode = _image.Geometry.Inodes - 1;
        block = (ulong)_image.Geometry.EndOfData - 1;
        var record = new InodeRecord { Mode = ImageBuilder.FileMode, Links = 1, Size = 10, Blocks = 1 };
        record.Direct[0] = block;
        record.Checksum = record.ComputeChecksum(inode);
        long entry = _image.Entry("sub", "pipe");
        byte[] name = _image.Bytes.AsSpan((int)entry, 16).ToArray();
        BinaryPrimitives.WriteUInt32LittleEndian(name, inode);
        name[11] = (byte)NodeKind.File;
        Record(0, 0, 1, 1001, [.. Change(TakeBlocks, 1, (long)block), .. Change(TakeInodes, 1, inode), .. Change(Set, 256, _image.Geometry.InodeOffset(inode)), .. record.AsBytes(), .. Change(Set, 16, entry), .. name]);
        uint pipe = _image.Node("pipe").Number;
        Record(1, 0, 1, 1002, [.. Change(FreeInodes, 1, pipe), .. Change(Set, 256, _image.Geometry.InodeOffset(pipe)), .. new byte[256]]);
    }

    // A change that changes nothing: the block is taken.
    private byte[] Nothing => Change(TakeBlocks, 1, _image.Root.BlockOf("leaf"));

    private (long Corruptions, long Leaks) Counts()
    {
        CheckReport report = _image.Check();
        return (report.Corruptions, report.Leaks);
    }

    private static byte[] Word(ulong word)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, word);
        return bytes;
    }

    private static byte[] Change(int kind, int count, long place) => Word((uint)kind + ((ulong)(uint)count << 4) + ((ulong)place << 20));

    private void Record(int lane, int place, ushort number, ulong sequence, ReadOnlySpan<byte> changes)
    {
        Span<byte> record = _image.Bytes.AsSpan((int)_image.Geometry.Journal + (lane * _image.Geometry.LaneBytes) + place, 16 + changes.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(record[4..], (ushort)(record.Length / 8));
        BinaryPrimitives.WriteUInt16LittleEndian(record[6..], number);
        BinaryPrimitives.WriteUInt64LittleEndian(record[8..], sequence);
        changes.CopyTo(record[16..]);
        BinaryPrimitives.WriteUInt32LittleEndian(record, Crc.Of(record[4..], _image.Geometry.RecordSeed));
    }
}
