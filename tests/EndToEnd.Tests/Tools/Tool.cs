using System.Diagnostics;
using System.Text;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>Runs the machine's own programs to their end, each with a deadline.</summary>
internal static class Tool
{
    /// <summary>A program that hangs must fail its test, not the whole run.</summary>
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(120);

    /// <summary>Python that knows libnbd: the distribution's, for another one in PATH lacks its modules.</summary>
    public const string Python = "/usr/bin/python3";

    /// <summary>A script of this project.</summary>
    public static string Script(string name) => Path.Combine(AppContext.BaseDirectory, "Scripts", name);

    /// <summary>Runs a program.</summary>
    public static ToolResult Run(string program, params string[] arguments) => RunIn(null, null, program, arguments);

    /// <summary>Runs a program, which must exit with 0.</summary>
    public static string Succeed(string program, params string[] arguments) => Run(program, arguments).Expect(0).Output;

    /// <summary>Runs a program in a folder, with a text as its standard input.</summary>
    public static ToolResult RunIn(string? folder, string? input, string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = folder ?? "",
        };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        try
        {
            if (input is not null) process.StandardInput.Write(input);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It ended without reading everything; its exit code says why.
        }

        var result = new StringBuilder(program).Append(' ').AppendJoin(' ', arguments).ToString();
        if (process.WaitForExit(s_deadline) && Task.WaitAll([output, errors], s_deadline)) return new ToolResult(result, process.ExitCode, output.Result, errors.Result);
        process.Kill(entireProcessTree: true);
        throw new TimeoutException($"{result} did not end in {s_deadline.TotalSeconds} s");
    }

    /// <summary>The shippable sphost, run to its end.</summary>
    public static ToolResult Sphost(params string[] arguments) => Run(SphostProcess.Executable, arguments);
}

/// <summary>How a program ended.</summary>
internal sealed record ToolResult(string CommandLine, int ExitCode, string Output, string Errors)
{
    /// <summary>Both streams.</summary>
    public string Text => Output + Errors;

    /// <summary>Requires one of these exit codes.</summary>
    public ToolResult Expect(params int[] exitCodes)
    {
        Assert.True(exitCodes.Contains(ExitCode), $"{CommandLine}: exit {ExitCode}, expected {string.Join(" or ", exitCodes)}\n{Text}");
        return this;
    }

    /// <summary>Requires that it failed with this code on its last line, after notes.</summary>
    public ToolResult ExpectErrorAfterNotes(string code)
    {
        Expect(1);
        string[] lines = Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.StartsWith($"sphost: error {code}: ", lines[^1], StringComparison.Ordinal);
        Assert.All(lines[..^1], line => Assert.StartsWith("sphost: note ", line, StringComparison.Ordinal));
        return this;
    }

    /// <summary>Requires that it failed as users are promised: exit 1, one line, this code, no stack trace.</summary>
    public ToolResult ExpectError(string code)
    {
        Expect(1);
        string[] lines = Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.True(lines.Length == 1 && lines[0].StartsWith($"sphost: error {code}: ", StringComparison.Ordinal), $"{CommandLine}: expected one line with {code}\n{Text}");
        return this;
    }
}
