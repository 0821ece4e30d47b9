using StoragePlugins.Journaling.Tests.Doubles;

namespace StoragePlugins.Journaling.Tests;

public sealed class RecordTests
{
    private static readonly RecordIdentity s_identity = new(Guid.NewGuid(), 7);

    private readonly RecordingMedium _medium = new(new byte[1 << 20]) { Records = false };
    private byte[] _payload = [];

    [Fact]
    public void Record_is_read_as_it_was_written()
    {
        RegionLog log = Log();
        var builder = Builder(log);
        Image.Filled(100, 1).CopyTo(builder.Add(EntryKind.Image, 5000, 100));
        Image.Filled(8, 2).CopyTo(builder.Add(EntryKind.Image, 5100, 8));
        Image.Filled(9000, 3).CopyTo(builder.Add(EntryKind.Copy, 70_000, 9000));
        builder.AddRevoke(1L << 40, (1L << 33) + 5);
        builder.AddRevokeFrom(99);
        RecordHeader written = Append(log, builder, 4096, txid: 3, tail: 2);
        Assert.True(log.TryRead(4096, s_identity, ref _payload, out RecordHeader header));
        Assert.Equal(written, header);

        var reader = new RecordReader(_payload.AsSpan(0, header.PayloadLength));
        Assert.True(reader.Next() && reader is { Kind: EntryKind.Image, Offset: 5000, Length: 108 }, "touching images are joined");
        Assert.Equal([.. Image.Filled(100, 1), .. Image.Filled(8, 2)], reader.Bytes);
        Assert.True(reader.Next() && reader is { Kind: EntryKind.Copy, Offset: 70_000, Length: 9000 });
        long revoked = 0;
        for (int i = 0; i < 3; i++)
        {
            Assert.True(reader.Next() && reader.Kind == EntryKind.Revoke && reader.Offset == (1L << 40) + revoked);
            revoked += reader.Length;
        }

        Assert.Equal((1L << 33) + 5, revoked);
        Assert.True(reader.Next() && reader is { Kind: EntryKind.RevokeFrom, Offset: 99 });
        Assert.False(reader.Next());
        Assert.False(reader.IsMalformed);
    }

    [Fact]
    public void Any_flipped_bit_makes_a_record_invalid()
    {
        RegionLog log = Log();
        RecordBuilder builder = Builder(log);
        Image.Filled(40, 9).CopyTo(builder.Add(EntryKind.Image, 5000, 40));
        RecordHeader header = Append(log, builder, 0, 1, 1);
        byte[] good = _medium.Copy();
        for (int bit = 0; bit < (log.HeaderBytes + header.PayloadLength) * 8; bit++)
        {
            byte[] bad = [.. good];
            bad[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(new RegionLog(new RecordingMedium(bad), new JournalRegion(0, 1 << 20)).TryRead(0, s_identity, ref _payload, out _), $"bit {bit}");
        }
    }

    [Fact]
    public void Record_of_another_image_or_session_is_none()
    {
        RegionLog log = Log();
        Append(log, Builder(log), 0, 1, 1);
        Assert.True(log.TryRead(0, s_identity, ref _payload, out _));
        Assert.False(log.TryRead(0, s_identity with { ImageId = Guid.NewGuid() }, ref _payload, out _));
        Assert.False(log.TryRead(0, s_identity with { Epoch = 8 }, ref _payload, out _));
    }

    [Fact]
    public void Region_whose_ends_are_inside_blocks_keeps_off_its_neighbours()
    {
        var log = new RegionLog(_medium, new JournalRegion(4096 + 512, 16384));
        Assert.Equal(12288, log.Capacity);
        Append(log, Builder(log), 0, 1, 1);
        Assert.True(_medium.Copy().AsSpan(0, 8192).IndexOfAnyExcept((byte)0) < 0);
    }

    [Fact]
    public void Payload_that_ends_inside_an_entry_is_malformed()
    {
        var reader = new RecordReader(new byte[RecordBuilder.EntryBytes]);
        Assert.False(reader.Next());
        Assert.True(reader.IsMalformed, "an image without bytes");
        reader = new RecordReader(new byte[5]);
        Assert.False(reader.Next());
        Assert.True(reader.IsMalformed);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Ring_never_gives_out_space_of_a_live_record(int seed)
    {
        const long capacity = 64 * 512;
        var random = new Random(seed);
        var space = new LogSpace(capacity, 512);
        var live = new Queue<(ulong Txid, long From, long To)>();
        int wraps = 0, refusals = 0;
        for (ulong txid = 1; txid < 5000; txid++)
        {
            long bytes = 512 * random.Next(1, 31);
            long position;
            while ((position = space.Find(bytes, 512)) < 0)
            {
                refusals++;
                Assert.NotEmpty(live);
                for (int i = random.Next(1, live.Count + 1); i > 0; i--) live.Dequeue();
                space.Release(live.TryPeek(out (ulong Txid, long, long) oldest) ? oldest.Txid : txid);
            }

            Assert.InRange(position, 0, capacity - bytes);
            Assert.DoesNotContain(live, r => r.From < position + bytes && position < r.To);
            if (position == 0) wraps++;
            space.Take(txid, position, bytes);
            live.Enqueue((txid, position, position + bytes));
            Assert.True(space.Find(512, 0) >= 0, "there is always room for the record that lets space go");
        }

        Assert.True(wraps > 10 && refusals > 10);
    }

    [Fact]
    public void Largest_record_fits_an_emptied_ring_whatever_the_heads_place()
    {
        const long capacity = 64 * 512;
        long largest = LogSpace.LargestRecord(capacity, 512);
        for (int at = 1; at < 64; at++)
        {
            var space = new LogSpace(capacity, 512);
            space.Take(1, 0, at * 512);
            long empty = space.Find(512, 0);
            if (empty < 0) continue;
            space.Take(2, empty, 512);
            space.Release(2);
            Assert.True(space.Find(largest, 512) >= 0, $"head behind block {at}");
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Revoked_bytes_are_those_of_older_records_only(int seed)
    {
        var random = new Random(seed);
        for (int round = 0; round < 200; round++)
        {
            var map = new RevokeMap();
            var newest = new ulong[200];
            ulong txid = 1;
            for (int i = random.Next(1, 20); i > 0; i--, txid += (ulong)random.Next(2))
            {
                int start = random.Next(200);
                int end = random.Next(start, 201);
                map.Add(start, end, txid);
                for (int at = start; at < end; at++) newest[at] = txid;
            }

            ulong of = (ulong)random.Next(0, (int)txid + 1);
            long from = random.Next(200);
            long to = random.Next((int)from, 201);
            var kept = new bool[200];
            for (long start = from; start < to;)
            {
                long end = map.NextKept(ref start, to, of);
                for (long at = start; at < end; at++) kept[at] = true;
                start = end;
            }

            for (int at = 0; at < 200; at++) Assert.Equal(at >= from && at < to && newest[at] <= of, kept[at]);
        }
    }

    private RegionLog Log() => new(_medium, new JournalRegion(0, 1 << 20));

    private static RecordBuilder Builder(RegionLog log) => new(log.HeaderBytes, log.Alignment, 256 << 10);

    private static RecordHeader Append(RegionLog log, RecordBuilder builder, long position, ulong txid, ulong tail)
    {
        var header = new RecordHeader(s_identity, txid, tail, 0, 12345, builder.PayloadLength);
        log.Append(position, header, builder.Frame);
        return header;
    }
}
