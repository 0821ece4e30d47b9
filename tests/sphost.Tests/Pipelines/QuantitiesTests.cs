using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Tests.Pipelines;

public sealed class QuantitiesTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("512", 512)]
    [InlineData("512b", 512)]
    [InlineData("64k", 65536)]
    [InlineData("1.5K", 1536)]
    [InlineData("10G", 10737418240)]
    [InlineData("7E", 8070450532247928832)]
    [InlineData("9223372036854775807", long.MaxValue)]
    public void Sizes_have_the_suffixes_of_qemu_img(string text, long bytes)
    {
        Assert.True(Quantities.TryParseSize(text, out long parsed));
        Assert.Equal(bytes, parsed);
        Assert.True(Quantities.TryParseSize(Quantities.FormatSize(parsed), out long again));
        Assert.Equal(parsed, again);
    }

    [Theory]
    [InlineData("")]
    [InlineData("K")]
    [InlineData("-1")]
    [InlineData("1.0001K")]
    [InlineData("8E")]
    [InlineData("1 K")]
    [InlineData("1KB")]
    [InlineData("99999999999999999999999999999999")]
    public void What_is_no_number_of_bytes_is_refused(string text) => Assert.False(Quantities.TryParseSize(text, out _));

    [Theory]
    [InlineData("0", 0)]
    [InlineData("100ns", 1)]
    [InlineData("2us", 20)]
    [InlineData("2ms", 20_000)]
    [InlineData("1.5s", 15_000_000)]
    [InlineData("1m", 600_000_000)]
    [InlineData("2h", 72_000_000_000)]
    public void Durations_have_a_unit(string text, long ticks)
    {
        Assert.True(Quantities.TryParseDuration(text, out TimeSpan duration));
        Assert.Equal(ticks, duration.Ticks);
        Assert.True(Quantities.TryParseDuration(Quantities.FormatDuration(duration), out TimeSpan again));
        Assert.Equal(duration, again);
    }

    [Theory]
    [InlineData("5")]
    [InlineData("ms")]
    [InlineData("1ns")]
    [InlineData("-1s")]
    [InlineData("9999999999h")]
    public void What_is_no_duration_is_refused(string text) => Assert.False(Quantities.TryParseDuration(text, out _));

    [Theory]
    [InlineData("jurnal", "journal")]
    [InlineData("ordreing", "ordering")]
    [InlineData("ram", "raw")]
    [InlineData("qcow3", "qcow2")]
    [InlineData("completely", null)]
    public void A_slip_is_guessed_and_nothing_else(string word, string? expected)
        => Assert.Equal(expected, Spelling.Closest(word, ["journal", "ordering", "raw", "qcow2", "medium"]));

    [Fact]
    public void A_swap_of_neighbours_is_one_edit() => Assert.Equal(1, Spelling.Distance("medium", "meduim"));
}
