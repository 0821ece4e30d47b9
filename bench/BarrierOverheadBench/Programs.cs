using System.ComponentModel;
using System.Diagnostics;

namespace StoragePlugins.BarrierOverheadBench;

/// <summary>Programs of the system that prepare a volume.</summary>
internal static class Programs
{
    /// <summary>Runs one to its end; its output is what it printed.</summary>
    public static string Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        try
        {
            using Process process = Process.Start(start)!;
            Task<string> errors = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? output.Trim() : throw new BenchException($"{program} {string.Join(' ', arguments)}: {errors.Result.Trim()}");
        }
        catch (Win32Exception)
        {
            throw new BenchException($"{program} cannot be started (Debian: apt-get install e2fsprogs mount)");
        }
    }
}
