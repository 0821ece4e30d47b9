using System.Diagnostics;
using System.Globalization;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>The calls of a process that make data durable, as strace saw them.</summary>
internal sealed class SyncTrace(string path)
{
    /// <summary>Every call of Linux that makes file data durable, so that none is missed.</summary>
    public const string Calls = "fdatasync,fsync,sync_file_range,syncfs,sync,msync";

    /// <summary>Every call that writes to a file at an offset.</summary>
    public const string Writes = "pwrite64,pwritev,pwritev2,fallocate,ftruncate,io_uring_enter";

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(30);

    /// <summary>The calls of a time window, by name. The traced process must have ended.</summary>
    public IReadOnlyDictionary<string, int> Between(DateTime start, DateTime end)
    {
        var counts = new Dictionary<string, int>();
        foreach (string line in CompleteLines())
        {
            string[] parts = line.Split((char[]?)null, 3, StringSplitOptions.RemoveEmptyEntries); // process, seconds, call
            DateTime time = DateTime.UnixEpoch.AddSeconds(double.Parse(parts[1], CultureInfo.InvariantCulture));
            int parenthesis = parts[2].IndexOf('(', StringComparison.Ordinal);
            if (time < start || time > end || parenthesis <= 0 || parts[2][0] is '<' or '+' or '-') continue;
            string call = parts[2][..parenthesis];
            if (call == "sync_file_range" && StartsWritingOnly(parts[2])) continue;
            counts[call] = counts.GetValueOrDefault(call) + 1;
        }

        return counts;
    }

    /// <summary>SYNC_FILE_RANGE_WRITE alone waits for nothing and makes nothing durable.</summary>
    private static bool StartsWritingOnly(string call)
        => call.Contains(", SYNC_FILE_RANGE_WRITE)", StringComparison.Ordinal) || call.Contains(", SYNC_FILE_RANGE_WRITE <", StringComparison.Ordinal);

    /// <summary>strace ends after the process that it traces.</summary>
    private string[] CompleteLines()
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            string[] lines = File.ReadAllLines(path);
            if (lines.Length > 0 && lines[^1].Contains("+++ exited with", StringComparison.Ordinal)) return lines;
            Assert.True(watch.Elapsed < s_deadline, $"strace has not finished {path}");
            Thread.Sleep(20);
        }
    }
}
