using System.Diagnostics;

namespace StoragePlugins.Authors.Tests;

/// <summary>Runs commands as an author's shell would: in a folder, with sphost in PATH and nothing of the test run's own build in the environment.</summary>
internal sealed class Shell
{
    /// <summary>A restore and build of several projects takes 20 s on two busy cores; what takes longer than this hangs.</summary>
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(150);

    private readonly Dictionary<string, string> _environment;

    /// <summary>A shell whose commands see these variables as well.</summary>
    public Shell(IReadOnlyDictionary<string, string> environment) => _environment = new(environment)
    {
        ["PATH"] = Build.Dist + ":" + Environment.GetEnvironmentVariable("PATH"),
        ["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1",
        ["DOTNET_NOLOGO"] = "1",
        ["DOTNET_CLI_UI_LANGUAGE"] = "en",
        // A build server that outlives its command would keep this run's output pipes open.
        ["MSBUILDDISABLENODEREUSE"] = "1",
        ["DOTNET_CLI_USE_MSBUILD_SERVER"] = "0",
    };

    /// <summary>Runs a line in a folder; it must exit with 0.</summary>
    /// <returns>Both outputs.</returns>
    public string Run(string folder, string line)
    {
        (int exitCode, string text) = End(folder, line);
        Assert.True(exitCode == 0, $"'{line}' in {folder}: exit {exitCode}\n{text}");
        return text;
    }

    /// <summary>Runs a line in a folder; it must fail.</summary>
    /// <returns>Both outputs.</returns>
    public string Fail(string folder, string line)
    {
        (int exitCode, string text) = End(folder, line);
        Assert.True(exitCode != 0, $"'{line}' in {folder} did not fail\n{text}");
        return text;
    }

    /// <summary>Starts a line in a folder. The shell becomes the command, so that a signal reaches it.</summary>
    public Process Start(string folder, string line)
    {
        var start = new ProcessStartInfo("/bin/sh", ["-c", "umask 022; exec " + line])
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // `dotnet test` tells its children which MSBuild and SDK it is itself.
        foreach (string key in start.Environment.Keys.Where(key => key.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase) || key.StartsWith("VSTEST", StringComparison.OrdinalIgnoreCase)).ToArray())
            start.Environment.Remove(key);
        foreach ((string key, string value) in _environment) start.Environment[key] = value;
        return Process.Start(start)!;
    }

    private (int ExitCode, string Text) End(string folder, string line)
    {
        using Process process = Start(folder, line);
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(s_deadline) || !Task.WaitAll([output, errors], s_deadline))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"'{line}' did not end in {s_deadline.TotalSeconds} s");
        }

        return (process.ExitCode, output.Result + errors.Result);
    }
}
