using System.Diagnostics;

namespace StoragePlugins.Qcow2.Tests;

/// <summary>The machine's own qemu-img and qemu-io, as makers of images and as judges.</summary>
internal static class Qemu
{
    /// <summary>A tool that hangs must fail its test, not the whole run.</summary>
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(120);

    public static (int ExitCode, string Output, string Errors) Run(string tool, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(tool, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        if (!process.WaitForExit(s_deadline))
        {
            process.Kill();
            throw new TimeoutException($"{tool} {string.Join(' ', arguments)} did not end");
        }

        return (process.ExitCode, output.GetAwaiter().GetResult(), errors.GetAwaiter().GetResult());
    }

    /// <summary>Runs qemu-img, which must succeed, and returns its output.</summary>
    public static string Img(params string[] arguments)
    {
        (int code, string output, string errors) = Run("qemu-img", arguments);
        Assert.True(code == 0, $"qemu-img {string.Join(' ', arguments)}: exit {code}\n{output}{errors}");
        return output;
    }

    /// <summary>Runs qemu-io commands on a qcow2 image; all must succeed.</summary>
    public static void Io(string image, params string[] commands)
    {
        string[] arguments = ["-f", "qcow2", .. commands.SelectMany(c => new[] { "-c", c }), image];
        (int code, string output, string errors) = Run("qemu-io", arguments);
        Assert.True(code == 0 && !output.Contains("failed", StringComparison.Ordinal), $"qemu-io {string.Join(' ', arguments)}: exit {code}\n{output}{errors}");
    }
}
