using System.Globalization;
using Microsoft.Playwright;
using StoragePlugins.Host.Evaluation.Results;
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

    [Fact]
    public async Task Tables_sort_numbers_as_numbers_and_texts_as_texts_by_mouse_and_keyboard()
    {
        using var file = new ReportFile(SampleEvaluation.Report);
        await using OpenPage page = await chromium.OpenAsync(file.Address);
        ILocator table = page.Page.Locator("#summary table").First;
        ILocator typically = table.Locator("thead th", new() { HasText = "Typically" });
        await typically.Locator("button").ClickAsync();
        Assert.Equal("descending", await typically.GetAttributeAsync("aria-sort"));
        double[] keys = [.. (await KeysAsync(table, 4)).Select(key => double.Parse(key!, CultureInfo.InvariantCulture))];
        Assert.Equal(keys.OrderDescending(), keys);
        await typically.Locator("button").FocusAsync();
        await page.Page.Keyboard.PressAsync("Enter");
        Assert.Equal("ascending", await typically.GetAttributeAsync("aria-sort"));
        Assert.Equal(keys.Order(), (await KeysAsync(table, 4)).Select(key => double.Parse(key!, CultureInfo.InvariantCulture)));

        ILocator name = table.Locator("thead th", new() { HasText = "Pipeline" });
        await name.Locator("button").ClickAsync();
        Assert.Equal("none", await typically.GetAttributeAsync("aria-sort"));
        IReadOnlyList<string> names = await table.Locator("tbody th").AllTextContentsAsync();
        Assert.Equal(names.Order(StringComparer.Ordinal), names);
        Assert.Equal(SampleEvaluation.Report.Contenders.Count(contender => !contender.IsReference), names.Count);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Every_row_has_its_bar_and_every_round_its_dot_with_scripts_and_without(bool runsScripts)
    {
        using var file = new ReportFile(SampleEvaluation.Report);
        await using OpenPage page = await chromium.OpenAsync(file.Address, runsScripts: runsScripts);
        // Throughput and amplification; the memory file system's many cells have a chart of their own kind.
        int bars = SampleEvaluation.Report.Rows.Where(row => row.Place != EvaluationPlace.MemoryFileSystem).Sum(row => 1 + (row.Amplification?.HostFlushesPerGuestFlush is null ? 0 : 1));
        Assert.InRange(await page.Page.Locator(".chart .bar").CountAsync(), bars, int.MaxValue);
        int dots = SampleEvaluation.Report.Rows.Where(row => row.Place != EvaluationPlace.MemoryFileSystem).Sum(row => row.Rounds.Count);
        Assert.InRange(await page.Page.Locator(".chart .round").CountAsync(), dots, int.MaxValue);
        Assert.Equal(0, await page.Page.Locator(".chart:not([role=img]), .chart:not(:has(title))").CountAsync());
    }

    [Fact]
    public async Task The_data_can_be_downloaded_and_are_read_back_equal()
    {
        using var file = new ReportFile(SampleEvaluation.Report);
        await using OpenPage page = await chromium.OpenAsync(file.Address);
        IDownload download = await page.Page.RunAndWaitForDownloadAsync(() => page.Page.Locator("#download").ClickAsync());
        string text = await File.ReadAllTextAsync(await download.PathAsync());
        Assert.Equal(EvaluationReportJson.Write(SampleEvaluation.Report), text);
        Assert.Equal(text, EvaluationReportJson.Write(EvaluationReportJson.Read(text)));
        Assert.EndsWith(".json", download.SuggestedFilename, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_switch_of_colours_overrides_what_the_system_prefers()
    {
        using var file = new ReportFile(SampleEvaluation.Report);
        await using OpenPage page = await chromium.OpenAsync(file.Address, colors: ColorScheme.Light);
        string light = await BackgroundAsync(page);
        await page.Page.GetByText("Dark", new() { Exact = true }).ClickAsync();
        string dark = await BackgroundAsync(page);
        Assert.NotEqual(light, dark);
        await page.Page.EmulateMediaAsync(new() { ColorScheme = ColorScheme.Dark });
        await page.Page.GetByText("Light", new() { Exact = true }).ClickAsync();
        Assert.Equal(light, await BackgroundAsync(page));
    }

    [Fact]
    public async Task Texts_of_a_run_are_never_markup()
    {
        const string Hostile = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">";
        EvaluationReport report = SampleEvaluation.Report with
        {
            Command = Hostile,
            Notes = [Hostile],
            Contenders = [.. SampleEvaluation.Report.Contenders.Select(contender => contender with { Description = Hostile })],
            Workloads = [.. SampleEvaluation.Report.Workloads.Select(workload => workload with { Title = workload.Title + Hostile, Definition = Hostile })],
        };
        using var file = new ReportFile(report);
        await using OpenPage page = await chromium.OpenAsync(file.Address);
        Assert.Equal("Virtual disks, evaluated", (await page.Page.Locator("h1").TextContentAsync())!);
        Assert.DoesNotContain("owned", await page.Page.TitleAsync(), StringComparison.Ordinal);
        Assert.Equal(0, await page.Page.Locator("img").CountAsync());
        Assert.Equal([file.Address], page.Requests);
        Assert.Empty(page.Complaints);
    }

    private static async Task<string?[]> KeysAsync(ILocator table, int column)
        => await table.EvaluateAsync<string?[]>("(table, column) => Array.from(table.tBodies[0].rows, row => row.cells[column].dataset.key)", column);

    private static Task<string> BackgroundAsync(OpenPage page) => page.Page.EvaluateAsync<string>("getComputedStyle(document.body).backgroundColor");
}
