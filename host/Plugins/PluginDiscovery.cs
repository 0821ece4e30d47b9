using System.Globalization;
using Polly;
using Polly.Retry;
using StoragePlugins.Host.Diagnostics;

namespace StoragePlugins.Host.Plugins;

/// <summary>
/// Finds the plugins of a directory: each sub-folder with its one assembly that carries <see cref="StoragePluginAttribute"/>, and each
/// such assembly lying in the directory itself. Reads metadata only.
/// </summary>
internal sealed class PluginDiscovery(TimeProvider time)
{
    /// <summary>A file younger than this may still be in the middle of a copy: copying writes at least once in such a span.</summary>
    public static readonly TimeSpan CopyQuietTime = TimeSpan.FromSeconds(2);

    /// <summary>Between two looks at a folder that is being copied: short against the copy of a DLL over a slow network, long against a look (0.1 ms).</summary>
    public static readonly TimeSpan CopyPollInterval = TimeSpan.FromMilliseconds(100);

    /// <summary>100 looks: a copy that takes more than 10 s keeps no command waiting.</summary>
    public const int MaxCopyPolls = 100;

    /// <summary>More DLLs than this in one folder are not looked at: it is no plugin folder.</summary>
    public const int MaxFilesPerFolder = 1000;

    /// <summary>Looks at every plugin of a directory, in ordinal order of names.</summary>
    /// <exception cref="DiagnosticException">SP1001: the directory is not there. SP1009: others can write it.</exception>
    public IReadOnlyList<PluginProbeResult> Scan(PluginDirectory directory)
    {
        if (!Directory.Exists(directory.Path))
        {
            if (directory.IsOptional) return [];
            throw new DiagnosticException("SP1001", $"the plugin directory ({directory.Origin}) is not there", directory.Path, fix: "make it or name another");
        }

        if (FolderTrust.Examine(directory.Path) is { } refusal) throw refusal.ToException();
        try
        {
            PluginProbeResult[] folders = [.. Directory.EnumerateDirectories(directory.Path).Order(StringComparer.Ordinal).Select(ExamineFolder)];
            PluginProbeResult[] files = [.. Libraries(directory.Path).Select(file => Settle(() => ExamineFile(file)))];
            return [.. folders, .. files.Where(file => !IsDependency(file, files))];
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DiagnosticException(
                "SP1001", $"the plugin directory ({directory.Origin}) cannot be read: {exception.Message.TrimEnd('.')}", directory.Path, fix: "check its permissions", inner: exception);
        }
    }

    /// <summary>Looks at a folder or a file that a user named.</summary>
    public PluginProbeResult ExaminePath(string path)
    {
        string full = Path.GetFullPath(path);
        if (Directory.Exists(full)) return ExamineFolder(full);
        if (File.Exists(full)) return Settle(() => ExamineFile(full));
        throw new DiagnosticException("SP1001", "there is no such plugin file or folder", full, fix: "check the path");
    }

    private PluginProbeResult ExamineFolder(string folder) => Settle(() => LookInto(folder));

    private static PluginProbeResult LookInto(string folder)
    {
        if (FolderTrust.Examine(folder) is { } refusal) return new PluginProbeResult(folder, null, [refusal]);
        PluginProbeResult[] files;
        try
        {
            files = [.. Libraries(folder).Where(file => !IsShared(file)).Select(PluginProbe.Examine)];
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return new PluginProbeResult(folder, null, [Diagnostic.Error(
                "SP1004", $"the folder cannot be read: {exception.Message.TrimEnd('.')}", folder, fix: "make it readable and start again")]);
        }

        PluginProbeResult[] mains = [.. files.Where(file => file.Manifest is { Name.Length: > 0 })];
        if (mains.Length == 1) return WithFolderFindings(mains[0], folder);
        if (mains.Length > 1)
        {
            return new PluginProbeResult(folder, null, [Diagnostic.Error(
                "SP1011", "the folder holds several plugins; none of them is loaded", folder, "one assembly with [assembly: StoragePlugin]",
                string.Join(", ", mains.Select(main => Path.GetFileName(main.Path))), "give each plugin a folder of its own")]);
        }

        Diagnostic[] broken = [.. files.Select(file => file.Rejection).OfType<Diagnostic>().Where(finding => finding.Code != "SP1006")];
        if (broken.Length > 0) return new PluginProbeResult(folder, null, broken);
        return new PluginProbeResult(folder, null, [Diagnostic.Error(
            "SP1010", "the folder holds no plugin", folder, "one assembly with [assembly: StoragePlugin]",
            string.Create(CultureInfo.InvariantCulture, $"{files.Length} {(files.Length == 1 ? "assembly" : "assemblies")} without it"), "move it out of the plugin directory, or add the attribute")]);
    }

    private static PluginProbeResult ExamineFile(string file)
        => IsShared(file)
            ? new PluginProbeResult(file, null, [CopyOfShared(file)])
            : FolderTrust.Examine(file) is { } refusal
                ? new PluginProbeResult(file, null, [refusal])
                : PluginProbe.Examine(file);

    private static PluginProbeResult WithFolderFindings(PluginProbeResult main, string folder)
    {
        var findings = new List<Diagnostic>(main.Findings);
        foreach (string file in Libraries(folder))
        {
            if (FolderTrust.Examine(file) is { } refusal) findings.Add(refusal);
            if (IsShared(file)) findings.Add(CopyOfShared(file));
        }

        return main with { Findings = findings };
    }

    private static Diagnostic CopyOfShared(string file) => Diagnostic.Warning(
        "SP1015", "a copy of an assembly that all plugins share; it is ignored, the host's own is used", file,
        fix: "delete it, and set Private=\"false\" ExcludeAssets=\"runtime\" on that reference of the plugin's project");

    private static bool IsShared(string file) => SharedAssemblies.Names.Contains(Path.GetFileNameWithoutExtension(file));

    private static IEnumerable<string> Libraries(string folder)
        => Directory.EnumerateFiles(folder, "*.dll").Take(MaxFilesPerFolder).Order(StringComparer.Ordinal);

    // A library that a plugin lying beside it references is that plugin's dependency, not a plugin gone wrong.
    private static bool IsDependency(PluginProbeResult file, PluginProbeResult[] all)
        => file.Rejection?.Code == "SP1006"
            && all.Any(other => other.Manifest is { Name.Length: > 0 } plugin
                && plugin.References.Any(reference => reference.Name == Path.GetFileNameWithoutExtension(file.Path)));

    /// <summary>Looks again while what is wrong can be a copy under way: bounded, and at once when the files are old.</summary>
    private PluginProbeResult Settle(Func<PluginProbeResult> look)
    {
        bool unsettled = false;
        ResiliencePipeline<PluginProbeResult> retry = new ResiliencePipelineBuilder<PluginProbeResult> { TimeProvider = time }
            .AddRetry(new RetryStrategyOptions<PluginProbeResult>
            {
                ShouldHandle = attempt => ValueTask.FromResult(unsettled = attempt.Outcome.Result is { } result && MayBeBeingCopied(result)),
                MaxRetryAttempts = MaxCopyPolls,
                Delay = CopyPollInterval,
                BackoffType = DelayBackoffType.Constant,
            })
            .Build();
        PluginProbeResult last = retry.Execute(look);
        if (!unsettled) return last;
        return last with
        {
            Findings = [Diagnostic.Error(
                "SP1004", string.Create(CultureInfo.InvariantCulture, $"the plugin is still being written after {(CopyPollInterval * MaxCopyPolls).TotalSeconds} s; it is not loaded"),
                last.Path, fix: "start again when the copy is complete, or copy to another place and rename the folder"), .. last.Findings],
        };
    }

    private bool MayBeBeingCopied(PluginProbeResult result)
    {
        if (result.Rejection is not { Code: "SP1003" or "SP1004" or "SP1018" }) return false;
        string folder = Directory.Exists(result.Path) ? result.Path : Path.GetDirectoryName(result.Path)!;
        DateTimeOffset newest = Libraries(folder).Select(file => new FileInfo(file).LastWriteTimeUtc).DefaultIfEmpty(DateTime.MinValue).Max();
        return time.GetUtcNow() - newest < CopyQuietTime;
    }
}
