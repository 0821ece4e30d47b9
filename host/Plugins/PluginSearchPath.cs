namespace StoragePlugins.Host.Plugins;

/// <summary>The directories in which plugins are looked for, in order.</summary>
internal sealed class PluginSearchPath
{
    /// <summary>Further directories, separated by colons.</summary>
    public const string EnvironmentVariable = "STORAGEPLUGINS_PATH";

    private readonly List<PluginDirectory> _directories = [];

    /// <summary>In the order of search, each once.</summary>
    public IReadOnlyList<PluginDirectory> Directories => _directories;

    /// <summary>Beside the host, then the command line, then the configuration, then the environment.</summary>
    public static PluginSearchPath Compose(IEnumerable<string> commandLine, IEnumerable<string> configuration, string? environment)
    {
        var path = new PluginSearchPath();
        path.Add(Path.Combine(AppContext.BaseDirectory, "plugins"), "beside sphost", isOptional: true);
        foreach (string directory in commandLine) path.Add(directory, "--plugins");
        foreach (string directory in configuration) path.Add(directory, "pluginDirectories");
        foreach (string directory in (environment ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries)) path.Add(directory, EnvironmentVariable);
        return path;
    }

    /// <summary>Appends a directory unless it is there already.</summary>
    public void Add(string directory, string origin, bool isOptional = false)
    {
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory));
        if (_directories.All(known => known.Path != full)) _directories.Add(new PluginDirectory(full, origin, isOptional));
    }
}

/// <summary>A directory whose sub-folders are plugins.</summary>
/// <param name="Path">Absolute.</param>
/// <param name="Origin">Who named it, for messages.</param>
/// <param name="IsOptional">True when its absence is no error.</param>
internal sealed record PluginDirectory(string Path, string Origin, bool IsOptional);
