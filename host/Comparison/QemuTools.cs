using System.Diagnostics;

namespace StoragePlugins.Host.Comparison;

/// <summary>The programs of QEMU that are installed here, and <c>timeout(1)</c>, which keeps a server from outliving a host that was killed.</summary>
internal sealed record QemuTools
{
    // Making an image or a snapshot takes milliseconds.
    private static readonly TimeSpan s_toolLimit = TimeSpan.FromSeconds(60);

    /// <summary>Path of qemu-nbd; null when it is not installed.</summary>
    public string? Nbd { get; init; }

    /// <summary>Path of qemu-img; null when it is not installed.</summary>
    public string? Img { get; init; }

    /// <summary>Path of coreutils' timeout; null when it is not installed.</summary>
    public string? Timeout { get; init; }

    /// <summary>What is in PATH.</summary>
    public static QemuTools Find() => new() { Nbd = InPath("qemu-nbd"), Img = InPath("qemu-img"), Timeout = InPath("timeout") };

    /// <summary>The first line of <c>qemu-nbd --version</c>.</summary>
    public string? Version() => Nbd is null ? null : Run(Nbd, ["--version"]).Split('\n')[0].Trim();

    /// <summary>Makes a qcow2 image.</summary>
    public void Create(string image, long size, bool lazyRefcounts)
        => Run(Img!, ["create", "-q", "-f", "qcow2", "-o", $"lazy_refcounts={(lazyRefcounts ? "on" : "off")}", image, $"{size}"]);

    /// <summary>Takes an internal snapshot of a qcow2 image that nobody has open.</summary>
    public void Snapshot(string image) => Run(Img!, ["snapshot", "-c", "before", image]);

    private static string? InPath(string program) => (Environment.GetEnvironmentVariable("PATH") ?? "")
        .Split(':', StringSplitOptions.RemoveEmptyEntries).Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);

    private static string Run(string program, string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(s_toolLimit))
        {
            process.Kill();
            throw Failed(program, arguments, $"it did not end within {s_toolLimit.TotalSeconds:0} s");
        }

        if (process.ExitCode != 0) throw Failed(program, arguments, errors.Result.Trim().ReplaceLineEndings(" "));
        return output.Result;
    }

    private static DiagnosticException Failed(string program, string[] arguments, string found)
        => new("SP4107", "the program failed", $"{Path.GetFileName(program)} {string.Join(' ', arguments)}", found: found, fix: "try it by hand; leave QEMU out with --no-references");
}
