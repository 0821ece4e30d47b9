using System.Reflection;

namespace StoragePlugins.Host.Dashboard;

/// <summary>The page's files, which are part of the program.</summary>
internal static class DashboardAssets
{
    private static readonly Dictionary<string, (string Resource, string Type)> s_files = new(StringComparer.Ordinal)
    {
        ["/"] = ("index.html", "text/html; charset=utf-8"),
        ["/dashboard.css"] = ("dashboard.css", "text/css; charset=utf-8"),
        ["/dashboard.js"] = ("dashboard.js", "text/javascript; charset=utf-8"),
        ["/charts.js"] = ("charts.js", "text/javascript; charset=utf-8"),
        ["/figures.js"] = ("figures.js", "text/javascript; charset=utf-8"),
        ["/uPlot.css"] = ("uPlot.min.css", "text/css; charset=utf-8"),
        ["/uPlot.js"] = ("uPlot.iife.min.js", "text/javascript; charset=utf-8"),
        ["/icon.svg"] = ("icon.svg", "image/svg+xml"),
    };

    /// <summary>The file of a path; null where there is none.</summary>
    public static (byte[] Content, string Type)? Find(string path)
    {
        if (!s_files.TryGetValue(path, out (string Resource, string Type) file)) return null;
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream("dashboard/" + file.Resource)
            ?? throw new InvalidOperationException($"The program lacks its resource '{file.Resource}'.");
        byte[] content = new byte[stream.Length];
        stream.ReadExactly(content);
        return (content, file.Type);
    }
}
