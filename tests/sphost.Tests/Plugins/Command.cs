using System.Diagnostics;

namespace StoragePlugins.Host.Tests.Plugins;

/// <summary>Runs a program to its end.</summary>
internal static class Command
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    /// <summary>Whether it could be started and ended with 0.</summary>
    public static bool TryRun(string program, params string[] arguments) => Run(program, null, arguments).ExitCode == 0;

    /// <summary>Runs the built sphost of the shippable tree.</summary>
    public static CommandResult Sphost(params string[] arguments) => Run(Path.Combine(Fixture.Metadata("DistDir"), "sphost"), null, arguments);

    /// <summary>Runs with further environment variables.</summary>
    public static CommandResult Run(string program, Dictionary<string, string>? environment, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach ((string name, string value) in environment ?? []) start.Environment[name] = value;
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(s_limit))
        {
            process.Kill();
            throw new TimeoutException($"{program} {string.Join(' ', arguments)} did not end");
        }

        return new CommandResult(process.ExitCode, output.Result, error.Result);
    }
}

/// <summary>How a program ended.</summary>
internal sealed record CommandResult(int ExitCode, string Output, string Error);
