using Microsoft.Playwright;

namespace StoragePlugins.Browser.Tests;

/// <summary>A page in the browser that remembers what it asked for and what it complained of.</summary>
internal sealed class OpenPage : IAsyncDisposable
{
    private readonly IBrowserContext _context;
    private readonly List<string> _complaints = [];
    private readonly List<string> _requests = [];

    /// <summary>Watches a page from its beginning.</summary>
    public OpenPage(IBrowserContext context, IPage page)
    {
        _context = context;
        Page = page;
        page.Console += (_, message) =>
        {
            if (message.Type is "error" or "warning") Remember(_complaints, $"{message.Type}: {message.Text}");
        };
        page.PageError += (_, error) => Remember(_complaints, error);
        page.Request += (_, request) => Remember(_requests, request.Url);
    }

    /// <summary>The page itself.</summary>
    public IPage Page { get; }

    /// <summary>Errors and warnings of the console, and exceptions that nobody caught.</summary>
    public IReadOnlyList<string> Complaints => Snapshot(_complaints);

    /// <summary>Addresses that were asked for, the page's own first.</summary>
    public IReadOnlyList<string> Requests => Snapshot(_requests);

    /// <summary>Goes to an address and waits until it is loaded.</summary>
    public Task GoAsync(string address) => Page.GotoAsync(address);

    /// <summary>How far the page can be scrolled sideways, in CSS pixels.</summary>
    public Task<int> SidewaysScrollAsync() => Page.EvaluateAsync<int>("document.documentElement.scrollWidth - document.documentElement.clientWidth");

    /// <summary>Leaves a picture of the whole page in artifacts/screenshots.</summary>
    public Task ScreenshotAsync(string name) => Page.ScreenshotAsync(new() { Path = Path.Combine(Chromium.Built("ScreenshotDir"), name + ".png"), FullPage = true });

    /// <summary>Closes it.</summary>
    public ValueTask DisposeAsync() => _context.DisposeAsync();

    private static void Remember(List<string> list, string what)
    {
        lock (list) list.Add(what);
    }

    private static string[] Snapshot(List<string> list)
    {
        lock (list) return [.. list];
    }
}
