namespace StoragePlugins.Host.Commands;

/// <summary>A JSON file that a command writes its figures to.</summary>
internal static class JsonFile
{
    /// <summary>Fails before the work, which takes minutes, not after it.</summary>
    /// <exception cref="DiagnosticException">SP4109.</exception>
    public static void RequireWritable(string path)
    {
        try
        {
            bool isNew = !File.Exists(path);
            File.Open(path, FileMode.OpenOrCreate, FileAccess.Write).Dispose();
            if (isNew) File.Delete(path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw Failed(path, failure);
        }
    }

    /// <summary>Writes it.</summary>
    /// <exception cref="DiagnosticException">SP4109.</exception>
    public static void Write(string path, object value)
    {
        try
        {
            using var file = new StreamWriter(path);
            new CommandOutput(file).WriteJson(value);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw Failed(path, failure);
        }
    }

    private static DiagnosticException Failed(string path, Exception failure)
        => new("SP4109", "the figures cannot be written there", path, found: failure.Message.TrimEnd('.'), fix: "name another file with --json", inner: failure);
}
