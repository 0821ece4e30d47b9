using System.Text.RegularExpressions;
using StoragePlugins.Host.Evaluation.Report;
using StoragePlugins.Host.Evaluation.Report.Charts;
using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Tests.Shared;

namespace StoragePlugins.Host.Tests.Evaluation;

public class ReportFiguresTests
{
    [Theory]
    [InlineData(0.0, "0")]
    [InlineData(3.14159, "3.14")]
    [InlineData(9.996, "10.0")]
    [InlineData(99.96, "100")]
    [InlineData(1234.4, "1,234")]
    [InlineData(-0.0123, "−0.0123")]
    [InlineData(1e15, "1.00e15")]
    [InlineData(double.NaN, Figures.None)]
    [InlineData(double.PositiveInfinity, Figures.None)]
    public void Numbers_have_three_digits(double value, string shown) => Assert.Equal(shown, Figures.Number(value));

    [Fact]
    public void Counts_are_whole()
    {
        Assert.Equal("14", Figures.Count(14));
        Assert.Equal("1,048,576", Figures.Count(1 << 20));
    }

    [Theory]
    [InlineData(0.5, "0.500 µs")]
    [InlineData(999.4, "999 µs")]
    [InlineData(999.6, "1.00 ms")]
    [InlineData(6300.0, "6.30 ms")]
    [InlineData(2.5e6, "2.50 s")]
    public void Times_have_the_unit_that_fits(double microseconds, string shown) => Assert.Equal(shown, Figures.Microseconds(microseconds));

    [Theory]
    [InlineData(999.0, "999 B/s")]
    [InlineData(1_048_576.0, "1.05 MB/s")]
    [InlineData(2.34e9, "2.34 GB/s")]
    public void Rates_are_counted_in_powers_of_ten(double bytes, string shown) => Assert.Equal(shown, Figures.BytesPerSecond(bytes));

    [Theory]
    [InlineData(81.1, "+81.1 %")]
    [InlineData(-2.7, "−2.7 %")]
    [InlineData(-0.04, "+0.0 %")]
    [InlineData(null, Figures.None)]
    public void Changes_have_their_sign(double? percent, string shown) => Assert.Equal(shown, Figures.Change(percent));

    [Theory]
    [InlineData(161.4, "2 min 41 s")]
    [InlineData(59.0, "59.0 s")]
    [InlineData(7384.0, "2 h 3 min")]
    public void Durations_are_read_at_a_glance(double seconds, string shown) => Assert.Equal(shown, Figures.Duration(seconds));

    [Theory]
    [InlineData(new double[0])]
    [InlineData(new[] { 0.0 })]
    [InlineData(new[] { 7.0 })]
    [InlineData(new[] { 0.001, 3, 987654321 })]
    [InlineData(new[] { double.NaN, double.PositiveInfinity, -4, 12.5 })]
    [InlineData(new[] { 1e-320 })]
    [InlineData(new[] { 1e300 })]
    public void Axes_have_few_rising_labels_and_keep_every_value_within(double[] values)
    {
        var linear = new LinearAxis(values);
        Assert.InRange(linear.Ticks.Count, 1, 5);
        Assert.Equal(0, linear.Ticks[0]);
        Assert.Equal(linear.Ticks.Distinct().Order(), linear.Ticks);
        var logarithmic = new LogAxis(values);
        Assert.InRange(logarithmic.Ticks.Count, 1, 8);
        Assert.Equal(logarithmic.Ticks.Distinct().Order(), logarithmic.Ticks);
        foreach (double value in values.Where(double.IsFinite))
        {
            Assert.InRange(linear.At(value), 0, 1);
            Assert.InRange(logarithmic.At(value), 0, 1);
        }
    }

    [Fact]
    public void Bars_are_in_proportion_and_equal_ratios_equally_long_on_a_logarithmic_axis()
    {
        var linear = new LinearAxis([10, 40]);
        Assert.Equal(4, linear.At(40) / linear.At(10), 6);
        var logarithmic = new LogAxis([1, 1000]);
        Assert.Equal(logarithmic.At(10) - logarithmic.At(1), logarithmic.At(1000) - logarithmic.At(100), 6);
    }

    [Fact]
    public void A_report_without_reference_latency_or_counts_is_a_page_all_the_same()
    {
        EvaluationReport bare = SampleEvaluation.Report with
        {
            IsInterrupted = true,
            Papers = [],
            Notes = [],
            Rows = [.. SampleEvaluation.Report.Rows.Select(row => row with { SpeedUp = null, SpeedUpRange = null, Latency = null, Amplification = null, BytesPerSecond = null })],
        };
        Assert.Contains("No reference was measured", PageOf(bare), StringComparison.Ordinal);
        Assert.Contains("Ended before its time", PageOf(bare), StringComparison.Ordinal);
        Assert.Contains("Nothing was measured", PageOf(bare with { Rows = [], Workloads = [], Contenders = [] }), StringComparison.Ordinal);
    }

    [Fact]
    public void Equal_records_make_equal_pages_that_name_nothing_outside_themselves()
    {
        string page = PageOf(SampleEvaluation.Report);
        Assert.Equal(page, PageOf(EvaluationReportJson.Read(EvaluationReportJson.Write(SampleEvaluation.Report))));
        Assert.DoesNotMatch(new Regex("(src|href)=\"(?!#|data:,)"), page);
        Assert.DoesNotContain("@import", page, StringComparison.Ordinal);
        Assert.DoesNotContain('\r', page);
    }

    private static string PageOf(EvaluationReport report)
    {
        using var text = new StringWriter();
        EvaluationReportPage.Write(text, report);
        return text.ToString();
    }
}
