using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace StoragePlugins.FuseBench;

/// <summary>A load that fio puts on a file, as one synchronous job.</summary>
/// <param name="Name">As shown.</param>
/// <param name="Pattern">fio's <c>rw</c>.</param>
/// <param name="BlockBytes">fio's <c>bs</c>.</param>
/// <param name="MaxMebibytes">At most so much is moved: small requests take long enough.</param>
/// <param name="IsNewFile">Begins with a file that is not there.</param>
/// <param name="Options">Further options of fio.</param>
internal sealed record Workload(string Name, string Pattern, int BlockBytes, int MaxMebibytes, bool IsNewFile, params string[] Options)
{
    public static IReadOnlyList<Workload> All { get; } =
    [
        new("4k O_SYNC write, new file", "write", 4096, 32, true, "--sync=1", "--fallocate=none"),
        new("4k O_SYNC rewrite", "write", 4096, 32, false, "--sync=1", "--fallocate=none"),
        new("1m write, new file, fsync at the end", "write", 1 << 20, int.MaxValue, true, "--end_fsync=1", "--fallocate=none"),
        new("1m rewrite, fsync at the end", "write", 1 << 20, int.MaxValue, false, "--end_fsync=1", "--fallocate=none"),
        new("1m read, not cached", "read", 1 << 20, int.MaxValue, false, "--invalidate=1"),
        new("4k random read, not cached", "randread", 4096, 32, false, "--direct=1"),
    ];

    /// <summary>Runs it.</summary>
    /// <returns>Requests per second, and bytes per second.</returns>
    public (double Requests, double Bytes) Run(string file, int mebibytes)
    {
        string[] arguments =
        [
            "--name=bench", "--ioengine=psync", $"--filename={file}", $"--rw={Pattern}", string.Create(CultureInfo.InvariantCulture, $"--bs={BlockBytes}"),
            string.Create(CultureInfo.InvariantCulture, $"--size={mebibytes}m"), string.Create(CultureInfo.InvariantCulture, $"--io_size={Math.Min(mebibytes, MaxMebibytes)}m"),
            "--overwrite=0", "--output-format=json", .. Options,
        ];
        using Process fio = Process.Start(new ProcessStartInfo("fio", arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = fio.StandardError.ReadToEndAsync();
        string output = fio.StandardOutput.ReadToEnd();
        fio.WaitForExit();
        if (fio.ExitCode != 0) throw new InvalidOperationException($"fio failed: {errors.Result.Trim()}{output}");
        using JsonDocument report = JsonDocument.Parse(output[output.IndexOf('{')..]);
        JsonElement side = report.RootElement.GetProperty("jobs")[0].GetProperty(Pattern.EndsWith("read", StringComparison.Ordinal) ? "read" : "write");
        // Of the whole run: fio's own rate leaves the fsync at the end out.
        double seconds = report.RootElement.GetProperty("jobs")[0].GetProperty("job_runtime").GetDouble() / 1000;
        if (seconds <= 0) seconds = side.GetProperty("runtime").GetDouble() / 1000;
        return (side.GetProperty("total_ios").GetDouble() / seconds, side.GetProperty("io_bytes").GetDouble() / seconds);
    }
}
