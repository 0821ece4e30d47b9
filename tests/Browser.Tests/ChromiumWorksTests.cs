using Microsoft.Playwright;

namespace StoragePlugins.Browser.Tests;

/// <summary>The tools of these tests themselves: a watcher that sees nothing would pass everything.</summary>
[Collection(nameof(Chromium))]
public sealed class ChromiumWorksTests(Chromium chromium)
{
    [Fact]
    public async Task Complaints_requests_and_sideways_scrolling_are_seen()
    {
        await using OpenPage page = await chromium.OpenAsync(
            "data:text/html,<div style='width:2000px'>wide</div><script>console.error('bad'); fetch('http://127.0.0.1:9/x').catch(() => 0); setTimeout(() => nobody(), 0)</script>", Screen.Phone);
        await page.Page.WaitForTimeoutAsync(200);
        Assert.Contains(page.Complaints, complaint => complaint.Contains("bad", StringComparison.Ordinal));
        Assert.Contains(page.Complaints, complaint => complaint.Contains("nobody", StringComparison.Ordinal));
        Assert.Contains("http://127.0.0.1:9/x", page.Requests);
        Assert.True(await page.SidewaysScrollAsync() > 1000);
    }

    [Theory]
    [InlineData(ColorScheme.Light, "light")]
    [InlineData(ColorScheme.Dark, "dark")]
    public async Task The_system_s_colours_reach_the_page(ColorScheme colors, string expected)
    {
        await using OpenPage page = await chromium.OpenAsync("data:text/html,<p>x</p>", colors: colors);
        Assert.Equal(expected, await page.Page.EvaluateAsync<string>("matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'"));
    }
}
