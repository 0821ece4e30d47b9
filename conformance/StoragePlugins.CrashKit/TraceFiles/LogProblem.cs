namespace StoragePlugins.CrashKit.TraceFiles;

/// <summary>What can be wrong with a log, as diagnostics.</summary>
internal static class LogProblem
{
    public static DiagnosticException NotALog(string name, string what, string expected, string found) =>
        new("SP6020", what, name, expected, found, "record one with QEMU's blklogwrites, dm-log-writes or the medium 'record'");

    public static DiagnosticException Truncated(string name, long entry, long entries, long end, long there) => new(
        "SP6021", $"the log ends inside entry {entry} of {entries}", name, $"at least {end} bytes", $"{there}", "copy the log again, whole; a disk may have been full while it was recorded");

    public static DiagnosticException Malformed(string name, long entry, string what, string? expected = null, string? found = null) =>
        new("SP6022", $"entry {entry} of the log makes no sense: {what}", name, expected, found, "record it again, and do not change it");

    public static DiagnosticException TooLarge(string name, string what, string expected, string found) =>
        new("SP6023", what, name, expected, found, "use a smaller image and a shorter recording: crash states are explored in memory");

    public static DiagnosticException NoRepresentation(string name, string what) =>
        new("SP6024", what, name, fix: "the dm-log-writes format has block devices only; explore this trace in the process that recorded it");
}
