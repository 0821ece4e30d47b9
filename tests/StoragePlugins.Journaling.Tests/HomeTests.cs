using StoragePlugins.Journaling.Tests.Doubles;

namespace StoragePlugins.Journaling.Tests;

/// <summary>Home as the format sees it.</summary>
public sealed class HomeTests : IDisposable
{
    private readonly Image _image = new(new RecordingMedium(new byte[Image.Data + 8192]));

    public void Dispose() => _image.Dispose();

    [Fact]
    public void Length_counts_what_is_held_beyond_the_end_of_the_medium()
    {
        long end = _image.Medium.Length;
        _image.Home.Write(end + 4096, Image.Filled(512, 3), ContentClass.GuestData);
        Assert.Equal(end, _image.Medium.Length);
        Assert.Equal(end + 4096 + 512, _image.Home.Length);
        Assert.Equal([.. new byte[4096], .. Image.Filled(512, 3)], _image.Read(end, 4608));
        _image.Commit(end + 65536, Image.Filled(8, 1));
        Assert.Equal(end + 65544, _image.Home.Length);

        using Image again = _image.Reopen();
        Assert.Equal(end + 65544, again.Home.Length);
        Assert.Equal(Image.Filled(512, 3), again.Read(end + 4096, 512));
        _image.Session.Close();
        Assert.Equal(end + 65544, _image.Medium.Length);
        Assert.Null(_image.Site.Payload);
    }

    [Fact]
    public void Medium_that_ended_inside_a_sector_while_the_page_behind_it_was_held()
    {
        // Found by the crash kit: the length that the format saw was the held page's, so that it did not fill the sector at the file's own end.
        long end = _image.Medium.Length;
        _image.Home.Write(end + 65536 - 512, Image.Filled(512, 3), ContentClass.GuestData);
        _image.Home.Write(end + 49, Image.Filled(20000, 4), ContentClass.GuestData);
        Assert.Equal(0, _image.Medium.Length % 512);
        Assert.Equal([.. Image.Filled(20000, 4), .. new byte[431]], _image.Read(end + 49, 20431));

        // The next writer begins in the sector that was filled.
        _image.Home.Write(end + 20049, Image.Filled(20000, 5), ContentClass.GuestData);
        Assert.Equal([.. Image.Filled(20000, 4), .. Image.Filled(20000, 5)], _image.Read(end + 49, 40000));
    }

    [Fact]
    public void Image_opened_for_reading_is_shown_as_replayed_and_not_written()
    {
        _image.Commit(Image.Tables, Image.Filled(8, 1));
        _image.Home.Write(Image.Data + 65536, Image.Filled(4096, 2), ContentClass.GuestData);
        _image.Home.Flush();
        var medium = new RecordingMedium(_image.Medium.Copy()) { IsReadOnly = true };
        using var shown = new Image(medium, start: false);
        Assert.False(shown.Session.Recover().WasClean);
        Assert.Equal(Image.Filled(8, 1), shown.Read(Image.Tables, 8));
        Assert.Equal(Image.Filled(4096, 2), shown.Read(Image.Data + 65536, 4096));
        shown.Session.Close();
        Assert.Empty(medium.Events);
    }

    [Fact]
    public void Large_write_over_a_live_page_is_not_undone_by_a_replay()
    {
        _image.Home.Write(Image.Data, Image.Filled(4096, 1), ContentClass.GuestData);
        _image.Home.Flush();
        _image.Home.Write(Image.Data, Image.Filled(8192, 2), ContentClass.GuestData);
        _image.Home.Flush();
        using Image again = _image.Reopen();
        Assert.Equal(Image.Filled(8192, 2), again.Read(Image.Data, 8192));
    }

    [Fact]
    public void Freed_table_that_became_data_is_not_overwritten_by_a_replay()
    {
        _image.Commit(Image.Data, Image.Filled(4096, 1));
        _image.Transaction.Clear();
        _image.Transaction.Revoke(new HomeRange(Image.Data, 4096));
        _image.Session.Commit(_image.Transaction, CommitGoal.Durable);
        _image.Home.Write(Image.Data, Image.Filled(8192, 2), ContentClass.GuestData);
        _image.Home.Flush();
        Assert.Equal(Image.Filled(8192, 2), _image.Medium.Copy().AsSpan(Image.Data, 8192));
        using Image again = _image.Reopen();
        Assert.Equal(Image.Filled(8192, 2), again.Read(Image.Data, 8192));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Cleared_range_stays_clear_after_a_replay(bool punch)
    {
        _image.Home.Write(Image.Data, Image.Filled(4096, 1), ContentClass.GuestData);
        _image.Home.Flush();
        IDeallocatingMedium deallocating = _image.Home.GetCapability<IDeallocatingMedium>()!;
        Assert.True(punch ? deallocating.TryPunchHole(Image.Data + 512, 4096) : deallocating.TryZeroRange(Image.Data + 512, 4096));
        byte[] expected = [.. Image.Filled(512, 1), .. new byte[4096]];
        Assert.Equal(expected, _image.Read(Image.Data, 4608));
        _image.Home.Flush();
        using Image again = _image.Reopen();
        Assert.Equal(expected, again.Read(Image.Data, 4608));
    }

    [Fact]
    public void Preallocated_range_is_zeros_after_a_replay()
    {
        _image.Home.Write(Image.Data, Image.Filled(4096, 1), ContentClass.GuestData);
        _image.Home.Flush();
        _image.Home.GetCapability<IPreallocatingMedium>()!.Preallocate(Image.Data, 3 << 20);
        _image.Home.Flush();
        using Image again = _image.Reopen();
        Assert.Equal(new byte[8192], again.Read(Image.Data, 8192));
        Assert.Equal(Image.Data + (3 << 20), again.Home.Length);
    }

    [Fact]
    public void What_was_cut_off_stays_gone_and_reads_as_zeros_when_home_grows_again()
    {
        _image.Home.Write(Image.Data + 4096, Image.Filled(4096, 1), ContentClass.GuestData);
        _image.Home.Flush();
        _image.Home.SetLength(Image.Data + 4096 + 512);
        Assert.Equal(Image.Data + 4608, _image.Home.Length);
        _image.Home.SetLength(Image.Data + 16384);
        byte[] expected = [.. Image.Filled(512, 1), .. new byte[3584]];
        Assert.Equal(expected, _image.Read(Image.Data + 4096, 4096));
        _image.Home.Flush();
        using Image again = _image.Reopen();
        Assert.Equal(expected, again.Read(Image.Data + 4096, 4096));
    }

    [Fact]
    public void Abilities_that_would_go_past_the_pages_are_not_passed_on()
    {
        Assert.Null(_image.Home.GetCapability<IFileMedium>());
        Assert.Null(_image.Home.GetCapability<IFlushableMedium>());
        Assert.Null(_image.Home.GetCapability<IMappableMedium>());
        Assert.NotSame(_image.Medium, _image.Home.GetCapability<INonBlockingMedium>());
    }

    [Fact]
    public void Read_without_waiting_sees_pages()
    {
        _image.Home.Write(Image.Data, Image.Filled(4096, 1), ContentClass.GuestData);
        byte[] buffer = new byte[8192];
        Assert.True(_image.Home.GetCapability<INonBlockingMedium>()!.TryRead(Image.Data, buffer));
        Assert.Equal([.. Image.Filled(4096, 1), .. new byte[4096]], buffer);
    }

    [Fact]
    public void Closed_image_has_everything_home_and_no_mark()
    {
        _image.Commit(Image.Tables, Image.Filled(8, 1));
        _image.Home.Write(Image.Data, Image.Filled(4096, 2), ContentClass.GuestData);
        _image.Session.Close();
        byte[] bytes = _image.Medium.Copy();
        Assert.Equal(Image.Filled(8, 1), bytes.AsSpan(Image.Tables, 8));
        Assert.Equal(Image.Filled(4096, 2), bytes.AsSpan(Image.Data, 4096));
        Assert.Null(_image.Site.Payload);
        _image.Home.Write(Image.Data, Image.Filled(4096, 3), ContentClass.GuestData);
        Assert.Equal(Image.Filled(4096, 3), _image.Medium.Copy().AsSpan(Image.Data, 4096));
    }
}
