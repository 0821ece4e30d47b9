using StoragePlugins.Journaling.Tests.Doubles;
using StoragePlugins.Tests;

namespace StoragePlugins.Journaling.Tests;

/// <summary>What a commit writes, how often it syncs, and that it allocates nothing.</summary>
public sealed class CommitCostTests
{
    private static readonly JournalRegion s_place = new(Image.Data + Image.DataLength, 2 << 20);

    private readonly Image _image = new(new RecordingMedium(new byte[s_place.Offset + s_place.Length]) { Records = false }, place: s_place);
    private int _writes, _flushes, _barriers;
    private long _bytes;

    public CommitCostTests() => Mark();

    [Fact]
    public void Two_small_images_cost_one_block_and_one_flush()
    {
        _image.Transaction.Add(0, ContentClass.Allocation, Image.Tables, [1, 2]);
        _image.Transaction.Add(1, ContentClass.Map, Image.Tables + 20_000, new byte[8]);
        _image.Session.Commit(_image.Transaction, CommitGoal.Durable);
        AssertCost(writes: 1, bytes: 4096, flushes: 1, barriers: 0);
    }

    [Fact]
    public void Small_synchronous_write_costs_one_sequential_write_and_one_flush()
    {
        _image.Home.Write(Image.Data + 8192, Image.Filled(4096, 7), ContentClass.GuestData);
        _image.Home.Flush();
        AssertCost(writes: 1, bytes: 8192, flushes: 1, barriers: 0);
        Assert.Equal(Image.Filled(4096, 7), _image.Read(Image.Data + 8192, 4096));
    }

    [Fact]
    public void Sixteen_small_writes_share_a_record_and_a_flush()
    {
        for (int i = 0; i < 16; i++) _image.Home.Write(Image.Data + (i * 3 * 4096), Image.Filled(4096, i + 1), ContentClass.GuestData);
        _image.Home.Flush();
        AssertCost(writes: 1, bytes: 17 * 4096, flushes: 1, barriers: 0);
    }

    [Fact]
    public void Large_write_and_its_mapping_over_zeros_share_one_flush()
    {
        _image.Home.Write(Image.Data, Image.Filled(65536, 7), ContentClass.GuestData);
        _image.Transaction.Publish(new PublishedExtent(Image.Data, 65536, PriorContent.Zeros));
        _image.Commit(Image.Tables, new byte[8]);
        AssertCost(writes: 2, bytes: 65536 + 4096, flushes: 1, barriers: 0);
    }

    [Fact]
    public void Data_over_old_content_is_copied_into_the_record_instead_of_a_barrier()
    {
        using var image = new Image(_image.Medium, new JournalSettings(4096, 1 << 20) { MaxCopied = 16 << 10 }, place: s_place);
        Mark();
        image.Home.Write(Image.Data, Image.Filled(8192, 7), ContentClass.GuestData);
        image.Transaction.Add(1, ContentClass.Map, Image.Tables, new byte[8]);
        image.Transaction.Publish(new PublishedExtent(Image.Data, 8192, PriorContent.Unknown));
        image.Session.Commit(image.Transaction, CommitGoal.Durable);
        AssertCost(writes: 2, bytes: 8192 + 12288, flushes: 1, barriers: 0);
    }

    [Fact]
    public void More_data_over_old_content_than_a_copy_is_worth_costs_a_barrier()
    {
        _image.Home.Write(Image.Data, Image.Filled(524288, 7), ContentClass.GuestData);
        _image.Transaction.Add(1, ContentClass.Map, Image.Tables, new byte[8]);
        _image.Transaction.Publish(new PublishedExtent(Image.Data, 524288, PriorContent.Unknown));
        _image.Session.Commit(_image.Transaction, CommitGoal.Durable);
        AssertCost(writes: 2, bytes: 524288 + 4096, flushes: 1, barriers: 1);
    }

    [Fact]
    public void Flush_with_nothing_written_since_the_last_costs_nothing()
    {
        _image.Home.Write(Image.Data, Image.Filled(65536, 7), ContentClass.GuestData);
        _image.Home.Flush();
        _image.Home.Flush();
        AssertCost(writes: 1, bytes: 65536, flushes: 1, barriers: 0);
    }

    [Fact]
    public void Thousands_of_commits_cost_one_flush_each_checkpoints_included()
    {
        for (int i = 0; i < 3000; i++)
        {
            _image.Commit(Image.Tables + (i * 8 % Image.TablesLength), BitConverter.GetBytes((long)i));
            // As a guest does: it does not write back to back with the log's half full.
            if (i % 16 == 0) Thread.Yield();
        }

        int syncs = _image.Medium.Flushes - _flushes + _image.Medium.Barriers - _barriers;
        Assert.True(syncs <= 3000 + (2 * _image.Session.Statistics.FullLogs), $"{syncs} syncs");
        Assert.True(_image.Session.Statistics.Checkpoints > 10);
    }

    [Fact]
    public void Guest_that_writes_much_between_flushes_has_it_written_once()
    {
        for (int i = 0; i < 200; i++) _image.Home.Write(Image.Data + (i * 4096), Image.Filled(4096, i), ContentClass.GuestData);
        Assert.InRange(_image.Medium.WrittenBytes - _bytes, (200 * 4096) - (256 << 10), 200 * 4096);
    }

    [Fact]
    public void Writes_reads_and_commits_allocate_nothing()
    {
        byte[] data = Image.Filled(4096, 3);
        byte[] entry = new byte[8];
        byte[] buffer = new byte[65536];
        for (int i = 0; i < 40; i++) Once(i);
        Assert.Equal(0, Allocations.Of(() =>
        {
            for (int i = 0; i < 10; i++) Once(i);
        }));

        void Once(int i)
        {
            _image.Home.Write(Image.Data + (i % 8 * 4096), data, ContentClass.GuestData);
            _image.Home.Write(Image.Data + (i % 8 * 4096) + 512, data.AsSpan(0, 1024), ContentClass.GuestData);
            _image.Home.Read(Image.Data, buffer);
            _image.Transaction.Clear();
            _image.Transaction.Add(1, ContentClass.Map, Image.Tables + (i % 8 * 4096), entry);
            _image.Session.Commit(_image.Transaction, CommitGoal.Durable);
        }
    }

    private void Mark() => (_writes, _flushes, _barriers, _bytes) = (_image.Medium.Writes, _image.Medium.Flushes, _image.Medium.Barriers, _image.Medium.WrittenBytes);

    private void AssertCost(int writes, long bytes, int flushes, int barriers) => Assert.Equal((writes, bytes, flushes, barriers),
        (_image.Medium.Writes - _writes, _image.Medium.WrittenBytes - _bytes, _image.Medium.Flushes - _flushes, _image.Medium.Barriers - _barriers));
}
