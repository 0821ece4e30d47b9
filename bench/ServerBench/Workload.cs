using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace StoragePlugins.ServerBench;

/// <summary>A load that fio puts on a server.</summary>
/// <param name="Name">As shown.</param>
/// <param name="Pattern">fio's <c>rw</c>.</param>
/// <param name="BlockBytes">fio's <c>bs</c>.</param>
/// <param name="Depth">fio's <c>iodepth</c>.</param>
internal sealed record Workload(string Name, string Pattern, int BlockBytes, int Depth)
{
    public static IReadOnlyList<Workload> All { get; } =
    [
        new("4k randread d16", "randread", 4096, 16),
        new("4k randwrite d16", "randwrite", 4096, 16),
        new("1m seqread d16", "read", 1 << 20, 16),
        new("1m seqwrite d16", "write", 1 << 20, 16),
    ];

    /// <summary>Runs it for a time.</summary>
    /// <returns>Requests per second.</returns>
    public double Run(string socket, TimeSpan time)
    {
        string[] arguments =
        [
            "--name=bench", "--ioengine=nbd", $"--uri=nbd+unix:///?socket={socket}", $"--rw={Pattern}",
            string.Create(CultureInfo.InvariantCulture, $"--bs={BlockBytes}"), string.Create(CultureInfo.InvariantCulture, $"--iodepth={Depth}"),
            "--time_based", string.Create(CultureInfo.InvariantCulture, $"--runtime={time.TotalSeconds:0}"), "--randrepeat=0", "--output-format=json",
        ];
        using Process fio = Process.Start(new ProcessStartInfo("fio", arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = fio.StandardError.ReadToEndAsync();
        string output = fio.StandardOutput.ReadToEnd();
        fio.WaitForExit();
        if (fio.ExitCode != 0) throw new InvalidOperationException($"fio failed: {errors.Result.Trim()}");

        using JsonDocument report = JsonDocument.Parse(output[output.IndexOf('{')..]);
        JsonElement job = report.RootElement.GetProperty("jobs")[0];
        return job.GetProperty(Pattern.EndsWith("read", StringComparison.Ordinal) ? "read" : "write").GetProperty("iops").GetDouble();
    }
}
