using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Diagnostics;

namespace StoragePlugins.Host.Plugins;

/// <summary>Looks at the plugin directories while the host runs, and takes up what is new.</summary>
/// <remarks>By polling names, sizes and times: it works on every file system, and a folder is looked into only when it has not changed for one period, so
/// that a copy under way is not taken for a plugin. What is wrong with a new plugin is logged; nothing that runs is disturbed.</remarks>
internal sealed class PluginWatcher : IDisposable
{
    /// <summary>Between two looks.</summary>
    public static readonly TimeSpan Period = TimeSpan.FromMilliseconds(500);

    private readonly PluginCatalog _catalog;
    private readonly ILogger _logger;
    private readonly Timer _timer;
    private readonly Lock _looking = new();
    private string _shown;
    private string _before;

    private PluginWatcher(PluginCatalog catalog, ILogger logger)
    {
        (_catalog, _logger) = (catalog, logger);
        _shown = _before = Fingerprint();
        _timer = new Timer(_ => Look(), null, Period, Period);
    }

    /// <summary>Starts to watch what a catalog was made from.</summary>
    public static PluginWatcher Start(PluginCatalog catalog, ILogger logger) => new(catalog, logger);

    /// <summary>Stops; a look under way ends first.</summary>
    public void Dispose()
    {
        using var ended = new ManualResetEvent(false);
        if (_timer.Dispose(ended)) ended.WaitOne();
    }

    private void Look()
    {
        // A look that takes longer than the period is not overtaken by the next.
        if (!_looking.TryEnter()) return;
        try
        {
            string now = Fingerprint();
            bool isSettled = now == _before;
            _before = now;
            if (!isSettled || now == _shown) return;
            _shown = now;
            TakeUp();
        }
        finally
        {
            _looking.Exit();
        }
    }

    private void TakeUp()
    {
        try
        {
            (IReadOnlyList<PluginEntry> added, IReadOnlyList<PluginEntry> removed) = _catalog.Refresh();
            foreach (PluginEntry plugin in added)
            {
                if (plugin.Manifest is { } manifest && plugin.State != PluginState.Rejected) _logger.LogInformation("plugin {Name} {Version} is there: {Path}", manifest.Name, manifest.Version, plugin.Path);
                foreach (Diagnostic finding in plugin.Findings.Where(finding => finding.Severity != DiagnosticSeverity.Note)) _logger.LogWarning("{Code}: {Message}", finding.Code, finding.Message);
            }

            foreach (PluginEntry plugin in removed)
            {
                _logger.LogInformation("plugin {Name} {Version} is gone from {Path}; disks that use it go on", plugin.Name, plugin.Manifest?.Version ?? "", plugin.Path);
            }
        }
        catch (DiagnosticException failure)
        {
            _logger.LogWarning("{Code}: {Message}; the plugins stay as they were", failure.Code, failure.Message);
        }
    }

    private string Fingerprint()
    {
        var text = new System.Text.StringBuilder();
        foreach (PluginDirectory directory in _catalog.SearchPath.Directories)
        {
            try
            {
                var files = new DirectoryInfo(directory.Path).EnumerateFileSystemInfos("*", SearchOption.AllDirectories).Take(PluginDiscovery.MaxFilesPerFolder * 10);
                foreach (FileSystemInfo file in files.OrderBy(file => file.FullName, StringComparer.Ordinal))
                    text.Append(file.FullName).Append('|').Append(file.LastWriteTimeUtc.Ticks).Append('|').Append(file is FileInfo { Length: var length } ? length : -1).Append('\n');
            }
            catch (Exception unreadable) when (unreadable is IOException or UnauthorizedAccessException)
            {
                text.Append(directory.Path).Append('|').Append(unreadable.GetType().Name).Append('\n');
            }
        }

        return text.ToString();
    }
}
