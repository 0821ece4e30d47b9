using Microsoft.Playwright;
using StoragePlugins.Tests.Shared;

namespace StoragePlugins.Browser.Tests;

[Collection(nameof(Chromium))]
public sealed class EvaluationReportTests(Chromium chromium)
{
    public static TheoryData<bool, ColorScheme, bool> Readers => new()
    {
        { true, ColorScheme.Light, true }, { true, ColorScheme.Dark, true }, { false, ColorScheme.Light, true }, { false, ColorScheme.Dark, true }, { true, ColorScheme.Light, false }, { false, ColorScheme.Dark, false },
    };

    [Theory]
    [MemberData(nameof(Readers))]
    public async Task The_page_fits_the_screen_asks_for_nothing_and_complains_of_nothing(bool onPhone, ColorScheme colors, bool runsScripts)
    {
        using var file = new ReportFile(SampleEvaluation.Report);
        await using OpenPage page = await chromium.OpenAsync(file.Address, onPhone ? Screen.Phone : Screen.Desktop, colors, runsScripts);
        Assert.Equal(0, await page.SidewaysScrollAsync());
        Assert.Equal([file.Address], page.Requests);
        Assert.Empty(page.Complaints);
        await page.ScreenshotAsync($"report-{(onPhone ? "phone" : "desktop")}-{colors.ToString().ToLowerInvariant()}{(runsScripts ? "" : "-no-scripts")}");
    }
}
