using StoragePlugins.Journaling.Tests.Doubles;

namespace StoragePlugins.Journaling.Tests;

/// <summary>Dual mode by choice: small writes ride where the device's flushes show that it pays, and nowhere else.</summary>
public sealed class DualModeTests
{
    private static readonly TimeSpan s_fast = TimeSpan.FromMilliseconds(0.1), s_seeking = TimeSpan.FromMilliseconds(20);

    private readonly DualModeChoice _choice = new(DualMode.Auto);

    [Theory]
    [InlineData(DualMode.On, true)]
    [InlineData(DualMode.Off, false)]
    public void What_was_said_stays_and_nothing_is_timed(DualMode mode, bool rides)
    {
        var choice = new DualModeChoice(mode);
        choice.NoteSmallWrite();
        Assert.False(choice.FlushBegins());
        Assert.Equal(rides, choice.Rides);
    }

    [Fact]
    public void Only_flushes_after_small_writes_are_timed()
    {
        Assert.False(_choice.FlushBegins());
        _choice.NoteSmallWrite();
        _choice.NoteSmallWrite();
        Assert.True(_choice.FlushBegins());
        Assert.False(_choice.FlushBegins());
    }

    [Fact]
    public void Nothing_rides_on_a_device_without_seeks()
    {
        Flush(10_000, s_fast, rides: false);
        Assert.False(_choice.Rides);
    }

    [Fact]
    public void Pauses_of_a_fast_device_are_no_seeks()
    {
        for (int i = 0; i < 1000; i++)
        {
            Flush(DualModeChoice.Run - 1, s_seeking, rides: false);
            Flush(1, s_fast, rides: false);
        }
    }

    [Fact]
    public void Small_writes_ride_where_that_is_clearly_faster()
    {
        Flush(DualModeChoice.Run, s_seeking, rides: false);
        // The first flush of the trial still has writes from before it to make durable.
        Flush(1, s_seeking * 10, rides: true);
        Flush(DualModeChoice.Run, s_seeking / 2, rides: true);
        Flush(DualModeChoice.Stay, s_seeking / 2, rides: true);
    }

    [Fact]
    public void Device_that_is_slow_for_another_reason_is_left_alone_after_a_trial()
    {
        Flush(DualModeChoice.Run, s_seeking, rides: false);
        Flush(DualModeChoice.Run + 1, s_seeking * 0.9, rides: true);
        Flush(DualModeChoice.Stay + DualModeChoice.Run, s_seeking, rides: false);
        // Then it is looked at again.
        Flush(1, s_seeking, rides: true);
    }

    [Fact]
    public void Device_that_became_fast_is_noticed()
    {
        Flush(DualModeChoice.Run, s_seeking, rides: false);
        Flush(DualModeChoice.Run + 1, s_seeking / 4, rides: true);
        Flush(DualModeChoice.Stay, s_fast, rides: true);
        Flush(DualModeChoice.Stay, s_fast, rides: false);
    }

    [Fact]
    public void Session_writes_home_until_its_device_seeks_and_in_records_then()
    {
        var medium = new RecordingMedium(new byte[Image.Data + Image.DataLength]);
        long head = 0;
        int jumps = 0;
        bool seeks = false;
        medium.Before = (operation, offset, length, _) =>
        {
            if (operation == "write") (jumps, head) = (offset == head ? jumps : jumps + 1, offset + length);
            if (operation != "flush") return;
            if (seeks) Thread.Sleep(2 * jumps);
            jumps = 0;
        };
        using var image = new Image(medium, Image.Settings with { DualMode = DualMode.Auto });
        for (int i = 0; i < 50; i++) Assert.Equal(4, WritesHomeOfOneFlush(i));
        seeks = true;
        for (int i = 0; i < DualModeChoice.Run; i++) Assert.Equal(4, WritesHomeOfOneFlush(i));
        for (int i = 0; i < 3 * DualModeChoice.Run; i++) Assert.Equal(0, WritesHomeOfOneFlush(i));

        int WritesHomeOfOneFlush(int round)
        {
            int before = medium.Events.Count(IsHome);
            for (int i = 0; i < 4; i++) image.Home.Write(Image.Data + (((round + (i * 50)) % 256) * 4096), Image.Filled(4096, round + i), ContentClass.GuestData);
            image.Home.Flush();
            for (int i = 0; i < 4; i++) Assert.Equal(Image.Filled(4096, round + i), image.Read(Image.Data + (((round + (i * 50)) % 256) * 4096), 4096));
            return medium.Events.Count(IsHome) - before;
        }

        static bool IsHome(RecordingMedium.Event e) => e is { Kind: RecordingMedium.EventKind.Write, Content: ContentClass.GuestData };
    }

    private void Flush(int times, TimeSpan took, bool rides)
    {
        for (int i = 0; i < times; i++)
        {
            Assert.True(_choice.Rides == rides, $"flush {i}");
            _choice.Flushed(took);
        }
    }
}
