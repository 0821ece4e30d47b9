namespace StoragePlugins.Host.Commands;

/// <summary>A file that a command writes its figures to.</summary>
internal static class ResultFile
{
    /// <summary>Fails before the work, which takes minutes, not after it.</summary>
    /// <exception cref="DiagnosticException">SP4109.</exception>
    public static void RequireWritable(string path, string option)
    {
        try
        {
            bool isNew = !File.Exists(path);
            File.Open(path, FileMode.OpenOrCreate, FileAccess.Write).Dispose();
            if (isNew) File.Delete(path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw Failed(path, option, failure);
        }
    }

    /// <summary>Writes a value as JSON; the option is <c>--json</c>.</summary>
    /// <exception cref="DiagnosticException">SP4109.</exception>
    public static void WriteJson(string path, object value) => Write(path, "--json", writer => new CommandOutput(writer).WriteJson(value));

    /// <summary>Writes it.</summary>
    /// <param name="path">The file.</param>
    /// <param name="option">That named it.</param>
    /// <param name="write">Writes the content.</param>
    /// <exception cref="DiagnosticException">SP4109.</exception>
    public static void Write(string path, string option, Action<TextWriter> write)
    {
        try
        {
            using var file = new StreamWriter(path);
            write(file);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw Failed(path, option, failure);
        }
    }

    private static DiagnosticException Failed(string path, string option, Exception failure)
        => new("SP4109", "the figures cannot be written there", path, found: failure.Message.TrimEnd('.'), fix: $"name another file with {option}", inner: failure);
}
