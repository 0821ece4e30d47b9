using System.Diagnostics;
using System.Text;

namespace StoragePlugins.Host.Evaluation.Children;

/// <summary>Programs of the system that an evaluation uses: found in PATH and where administrators' programs are, run to their end.</summary>
internal static class Programs
{
    /// <summary>Making a file system, mounting, attaching: milliseconds, and seconds on a device that is slow.</summary>
    public static readonly TimeSpan ShortLimit = TimeSpan.FromSeconds(60);

    // Not in everybody's PATH.
    private static readonly string[] s_administrators = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

    /// <summary>Path of a program; null when it is not installed.</summary>
    public static string? Find(string name) => (Environment.GetEnvironmentVariable("PATH") ?? "")
        .Split(':', StringSplitOptions.RemoveEmptyEntries).Concat(s_administrators).Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);

    /// <summary>The first of these that is not installed; null when all are.</summary>
    public static string? FirstMissing(params string[] names) => names.FirstOrDefault(name => Find(name) is null);

    /// <summary>Runs a program to its end.</summary>
    /// <param name="program">Name or path.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="limit">Beyond it the program hangs, and is killed.</param>
    /// <param name="cancel">Kills it.</param>
    /// <param name="folder">Where it runs; null for where this process does.</param>
    /// <param name="input">Its standard input; null for none.</param>
    /// <returns>What it wrote.</returns>
    /// <exception cref="DiagnosticException">SP4202: it is not installed, failed, or did not end.</exception>
    public static ProgramOutput Run(string program, IEnumerable<string> arguments, TimeSpan limit, CancellationToken cancel, string? folder = null, string? input = null)
    {
        string[] list = [.. arguments];
        using Process process = Start(program, list, folder);
        using CancellationTokenRegistration kill = cancel.Register(() => Kill(process));
        Task<string> output = process.StandardOutput.ReadToEndAsync(CancellationToken.None), errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
        if (input is not null) process.StandardInput.Write(input);
        process.StandardInput.Close();
        bool ended = process.WaitForExit(limit);
        if (!ended) Kill(process);
        cancel.ThrowIfCancellationRequested();
        if (!ended) throw Failed(program, list, $"it did not end within {limit.TotalSeconds:0} s");
        if (process.ExitCode != 0) throw Failed(program, list, LastLine(errors.Result) is { Length: > 0 } line ? line : $"exit code {process.ExitCode}");
        return new ProgramOutput(output.Result, errors.Result);
    }

    /// <summary>Starts a program in a session of its own, where Ctrl-C on the terminal does not reach it: it is this process that ends it, in order.</summary>
    /// <exception cref="DiagnosticException">SP4202: it is not installed.</exception>
    public static Process Start(string program, IReadOnlyList<string> arguments, string? folder = null)
    {
        string path = Find(program) ?? throw Failed(program, arguments, "it is not installed");
        string? session = Find("setsid");
        var start = new ProcessStartInfo(session ?? path, session is null ? arguments : [path, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = folder ?? "",
            StandardOutputEncoding = Encoding.UTF8,
            StandardErrorEncoding = Encoding.UTF8,
            // Their output is read by this program. A runtime that is killed leaves no socket for debuggers behind when it had none.
            Environment = { ["LC_ALL"] = "C", ["DOTNET_EnableDiagnostics"] = "0" },
        };
        return Process.Start(start)!;
    }

    /// <summary>SIGKILL to a process and its descendants, if it still runs.</summary>
    public static void Kill(Process process)
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (Exception gone) when (gone is InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            // It ended meanwhile.
        }
    }

    /// <summary>SP4202.</summary>
    public static DiagnosticException Failed(string program, IEnumerable<string> arguments, string found, Exception? inner = null) => new(
        "SP4202", "the program failed", $"{Path.GetFileName(program)} {string.Join(' ', arguments)}".TrimEnd(), found: found, fix: "try it by hand; leave what needs it out with --place, --workload or --no-references", inner: inner);

    private static string LastLine(string text) => text.Trim().Split('\n')[^1].Trim();
}

/// <summary>What a program wrote.</summary>
/// <param name="Output">To standard output.</param>
/// <param name="Errors">To standard error.</param>
internal sealed record ProgramOutput(string Output, string Errors);
