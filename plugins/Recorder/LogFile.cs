namespace StoragePlugins.Recorder;

/// <summary>Makes the file that a log is written to. It replaces an earlier log and nothing else.</summary>
internal static class LogFile
{
    private static ReadOnlySpan<byte> Magic => [0x72, 0x68, 0x73, 0x77, 0x66, 0x73, 0x6a, 0x00];

    /// <summary>An empty file, locked against other recorders.</summary>
    /// <exception cref="DiagnosticException">SP6025: it cannot be had.</exception>
    public static FileStream Create(string path, string image)
    {
        if (Path.GetFullPath(path) == Path.GetFullPath(image)) throw Refused(path, "the log of a recorder cannot be the image itself", fix: "set another path with the option 'log'");
        FileStream file;
        try
        {
            // Unbuffered: what an entry needs is written at once, and a full disk is met by the request that fills it.
            file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Refused(path, "the log of a recorder cannot be opened", e.Message, "check its folder and permissions; two media of one pipeline need a log each, which they have when the option 'log' is left out", e);
        }

        try
        {
            if (!IsReplaceable(file)) throw Refused(path, "the log of a recorder would replace a file that is no such log", fix: "set another path with the option 'log', or remove the file");
            file.SetLength(0);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static bool IsReplaceable(FileStream file)
    {
        Span<byte> start = stackalloc byte[Magic.Length];
        int there = file.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
        return there == 0 || start[..there].SequenceEqual(Magic);
    }

    private static DiagnosticException Refused(string path, string what, string? found = null, string? fix = null, Exception? inner = null) => new("SP6025", what, path, found: found, fix: fix, inner: inner);
}
