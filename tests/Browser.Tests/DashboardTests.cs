using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Playwright;
using StoragePlugins.EndToEnd.Tests;
using StoragePlugins.Host.Dashboard;
using StoragePlugins.Host.Telemetry;
using StoragePlugins.Host.Tests.Telemetry;

namespace StoragePlugins.Browser.Tests;

/// <summary>The dashboard of a real host under a real load, as a browser shows it.</summary>
[Collection(nameof(Chromium))]
public sealed class DashboardTests(Chromium chromium) : Scratch
{
    /// <summary>Generous for a machine that builds something else meanwhile; what is waited for takes a second.</summary>
    private static readonly LocatorAssertionsToBeVisibleOptions s_patience = new() { Timeout = 20_000 };

    [Fact]
    public async Task Charts_move_under_load_and_the_totals_are_those_of_the_control_socket()
    {
        using SphostProcess sphost = ServeTwo();
        await using OpenPage page = await chromium.OpenAsync(sphost.DashboardAddress);
        await Expect(Disk(page, "web").Locator(".state"), "serving");
        await Expect(Disk(page, "build").Locator(".state"), "serving");
        Assert.Equal((6, 4), (await Disk(page, "web").Locator(".chart canvas").CountAsync(), await Disk(page, "build").Locator(".chart canvas").CountAsync()));
        string still = await PixelsAsync(page, "web", "requests");

        using Process load = StartLoad(sphost, seconds: 3);
        await Assertions.Expect(Tile(page, "web", "requests")).Not.ToHaveTextAsync("0", new() { Timeout = 20_000 });
        await Assertions.Expect(Tile(page, "web", "p99")).Not.ToHaveTextAsync("–", new() { Timeout = 20_000 });
        await Assertions.Expect(Tile(page, "web", "amplification")).Not.ToHaveTextAsync("–", new() { Timeout = 20_000 });
        await load.WaitForExitAsync();
        Assert.NotEqual(still, await PixelsAsync(page, "web", "requests"));
        await Assertions.Expect(Tile(page, "web", "requests")).ToHaveTextAsync("0", new() { Timeout = 20_000 });

        // Nothing is asked of the disks any more: what the page shows and what the control socket says must be the same.
        foreach (JsonNode? disk in JsonNode.Parse(Tool.Sphost("disk", "stats", "--control", PathOf("sphost.control"), "--json").Expect(0).Output)!.AsArray())
        {
            ILocator section = Disk(page, (string)disk!["name"]!);
            await section.Locator(".totals summary").ClickAsync();
            foreach ((string row, string figure) in ((string, string)[])[("Guest reads", "guestReads"), ("Guest writes, discards and zeroings", "guestWrites"), ("Guest flushes", "guestFlushes"), ("Host flushes", "hostFlushes")])
                await RequireTotalAsync(section, row, (long)disk[figure]!);
        }

        Assert.True((long)JsonNode.Parse(await new HttpClient().GetStringAsync(sphost.DashboardAddress + "stats.json"))![0]!["guestWrites"]! > 100);
        RequireQuiet(page, sphost.DashboardAddress);
        sphost.Close();
    }

    [Fact]
    public async Task Page_fits_phone_and_desktop_in_light_and_dark()
    {
        using SphostProcess sphost = ServeTwo();
        using Process load = StartLoad(sphost, seconds: 60);
        await Task.Delay(TimeSpan.FromSeconds(3)); // so that there is something to see
        foreach ((Screen screen, string name) in (IEnumerable<(Screen, string)>)[(Screen.Desktop, "desktop"), (Screen.Phone, "phone")])
        {
            foreach (ColorScheme colors in (ColorScheme[])[ColorScheme.Light, ColorScheme.Dark])
            {
                await using OpenPage page = await chromium.OpenAsync(sphost.DashboardAddress, screen, colors);
                // What was kept is there at once: nobody waits for a chart to fill.
                await Assertions.Expect(Tile(page, "web", "requests")).Not.ToHaveTextAsync("0", new() { Timeout = 20_000 });
                await page.Page.GetByRole(AriaRole.Button, new() { Name = "1 min", Exact = true }).ClickAsync();
                Assert.Equal(0, await page.SidewaysScrollAsync());
                await page.ScreenshotAsync($"dashboard-{name}-{colors.ToString().ToLowerInvariant()}");
                RequireQuiet(page, sphost.DashboardAddress);
            }
        }

        load.Kill();
        await load.WaitForExitAsync();
        sphost.Close();
    }

    [Fact]
    public async Task Host_that_stops_says_so_and_the_page_goes_on_when_it_is_back()
    {
        int port = FreePort();
        SphostProcess first = SphostProcess.Serve(Folder, "vm.raw", "--size", "16M", "-p", "raw", "--dashboard", port.ToString(CultureInfo.InvariantCulture));
        await using OpenPage page = await chromium.OpenAsync(first.DashboardAddress);
        await Expect(page.Page.Locator("#link"), "live");
        first.Close();
        first.Dispose();
        await Expect(page.Page.Locator("#link"), "stopped");
        await Assertions.Expect(page.Page.Locator("#notice")).ToContainTextAsync("sphost has stopped");

        using SphostProcess second = SphostProcess.Serve(Folder, "vm.raw", "-p", "raw", "--dashboard", port.ToString(CultureInfo.InvariantCulture));
        await Expect(page.Page.Locator("#link"), "live");
        await Assertions.Expect(page.Page.Locator("#notice")).ToBeHiddenAsync();
        second.Kill();
        await Expect(page.Page.Locator("#link"), "reconnecting");
        await page.ScreenshotAsync("dashboard-lost");
        // The browser itself tells of a connection that was refused or broke; nothing else may be told.
        Assert.All(page.Complaints, complaint => Assert.Contains("net::ERR_", complaint, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Disk_that_lost_durability_or_is_gone_is_shown_as_such()
    {
        using WatchedDisk web = new("web"), build = new("build");
        IReadOnlyList<IMeteredDisk> served = [web, build];
        using var server = DashboardServer.Listen(new DashboardAddress(new IPEndPoint(IPAddress.Loopback, 0)), NullLogger.Instance);
        server.Start(() => Volatile.Read(ref served));
        await using OpenPage page = await chromium.OpenAsync(server.Address);
        await Expect(Disk(page, "web").Locator(".state"), "serving");
        web.Served.SetPoison(new DurabilityLostException("flush", "web", "the device is gone"));
        await Expect(Disk(page, "web").Locator(".state"), "durability lost");
        Volatile.Write(ref served, [web]);
        await Expect(Disk(page, "build").Locator(".state"), "no longer served");
        await page.ScreenshotAsync("dashboard-durability-lost");
        RequireQuiet(page, server.Address);
    }

    [Fact]
    public async Task Name_of_a_disk_is_text_and_nothing_else()
    {
        using WatchedDisk disk = new("<img src=x onerror=alert(1)>");
        using var server = DashboardServer.Listen(new DashboardAddress(new IPEndPoint(IPAddress.Loopback, 0)), NullLogger.Instance);
        server.Start(() => [disk]);
        await using OpenPage page = await chromium.OpenAsync(server.Address);
        await Expect(page.Page.Locator("h2"), "<img src=x onerror=alert(1)>");
        RequireQuiet(page, server.Address);
    }

    private static Task Expect(ILocator locator, string text) => Assertions.Expect(locator).ToHaveTextAsync(text, new() { Timeout = s_patience.Timeout });

    private static ILocator Disk(OpenPage page, string name) => page.Page.Locator($".disk[data-disk='{name}']");

    private static ILocator Tile(OpenPage page, string disk, string tile) => Disk(page, disk).Locator($"[data-tile='{tile}'] dd");

    private static Task<string> PixelsAsync(OpenPage page, string disk, string chart) =>
        Disk(page, disk).Locator($"[data-chart='{chart}'] canvas").EvaluateAsync<string>("canvas => canvas.toDataURL()");

    private static async Task RequireTotalAsync(ILocator section, string row, long expected) =>
        await Assertions.Expect(section.Locator("tr", new() { HasText = row }).Locator("td").First).ToHaveTextAsync(expected.ToString("n0", CultureInfo.InvariantCulture), new() { Timeout = s_patience.Timeout });

    // Nothing in the console, and nothing asked of anybody else.
    private static void RequireQuiet(OpenPage page, string address)
    {
        Assert.Empty(page.Complaints);
        Assert.True(page.Requests.Count > 5);
        Assert.All(page.Requests, request => Assert.StartsWith(address, request, StringComparison.Ordinal));
    }

    private static Process StartLoad(SphostProcess sphost, int seconds) => Process.Start(new ProcessStartInfo("fio",
    [
        "--name=load", "--ioengine=nbd", $"--uri={sphost.Uri("web")}", "--rw=randrw", "--bs=16k", "--iodepth=8", "--rate_iops=800", "--fsync=8", "--time_based", $"--runtime={seconds}", "--size=200m",
    ]) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Path.GetTempPath() })!;

    private static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    private SphostProcess ServeTwo()
    {
        File.WriteAllText(PathOf("disks.json"), """
            { "disks": { "web": { "image": "web.qcow2", "size": "256M" }, "build": { "image": "build.raw", "size": "64M", "pipeline": "raw" } } }
            """);
        return SphostProcess.Serve(Folder, "--config", "disks.json", "--dashboard", "0");
    }
}
