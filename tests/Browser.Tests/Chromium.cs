using System.Reflection;
using Microsoft.Playwright;

namespace StoragePlugins.Browser.Tests;

/// <summary>Debian's Chromium, without a window: one process for all tests of a collection. Nothing is downloaded.</summary>
public sealed class Chromium : IAsyncLifetime
{
    private const string Program = "/usr/bin/chromium";

    private IPlaywright? _playwright;
    private IBrowser? _browser;

    /// <summary>Starts it.</summary>
    public async Task InitializeAsync()
    {
        Assert.True(File.Exists(Program), $"{Program} is missing: apt-get install --no-install-recommends chromium fonts-dejavu-core (test.sh does)");
        Environment.SetEnvironmentVariable("PLAYWRIGHT_DRIVER_SEARCH_PATH", Built("PlaywrightDir"));
        _playwright = await Playwright.CreateAsync();
        // /dev/shm is 64 MB in most containers, too little for a screenshot of a long page.
        _browser = await _playwright.Chromium.LaunchAsync(new() { ExecutablePath = Program, Args = ["--disable-dev-shm-usage"] });
    }

    /// <summary>Ends it.</summary>
    public async Task DisposeAsync()
    {
        if (_browser is not null) await _browser.DisposeAsync();
        _playwright?.Dispose();
    }

    /// <summary>Opens a page in a profile of its own.</summary>
    /// <param name="address">file:// or http://.</param>
    /// <param name="screen">Its size.</param>
    /// <param name="colors">What the reader's system prefers.</param>
    /// <param name="runsScripts">Whether JavaScript runs.</param>
    internal async Task<OpenPage> OpenAsync(string address, Screen? screen = null, ColorScheme colors = ColorScheme.Light, bool runsScripts = true)
    {
        screen ??= Screen.Desktop;
        IBrowserContext context = await _browser!.NewContextAsync(new()
        {
            ViewportSize = new() { Width = screen.Width, Height = screen.Height },
            DeviceScaleFactor = 1,
            IsMobile = screen.IsPhone,
            HasTouch = screen.IsPhone,
            ColorScheme = colors,
            JavaScriptEnabled = runsScripts,
            Locale = "en-US",
        });
        var page = new OpenPage(context, await context.NewPageAsync());
        await page.GoAsync(address);
        return page;
    }

    /// <summary>Something that the build left for the tests.</summary>
    internal static string Built(string name)
        => typeof(Chromium).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(metadata => metadata.Key == name).Value!;
}

/// <summary>Tests that share the browser.</summary>
[CollectionDefinition(nameof(Chromium))]
public sealed class ChromiumTests : ICollectionFixture<Chromium>;

/// <summary>A screen.</summary>
internal sealed record Screen(int Width, int Height, bool IsPhone)
{
    /// <summary>A phone, upright.</summary>
    public static Screen Phone { get; } = new(390, 844, true);

    /// <summary>A small laptop.</summary>
    public static Screen Desktop { get; } = new(1280, 900, false);
}
