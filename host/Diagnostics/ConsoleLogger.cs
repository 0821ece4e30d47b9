using Microsoft.Extensions.Logging;

namespace StoragePlugins.Host.Diagnostics;

/// <summary>Writes one line a message to standard error: <c>sphost: warning …</c>. Control plane only.</summary>
/// <remarks>Thread-safe. Debug and trace messages are not written.</remarks>
internal sealed class ConsoleLogger(TextWriter writer) : ILogger
{
    private static readonly string[] s_levels = ["sphost: note ", "sphost: warning ", "sphost: error "];

    private readonly Lock _gate = new();

    /// <inheritdoc/>
    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    /// <inheritdoc/>
    public bool IsEnabled(LogLevel logLevel) => logLevel is >= LogLevel.Information and < LogLevel.None;

    /// <inheritdoc/>
    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (!IsEnabled(logLevel)) return;
        string level = logLevel switch { LogLevel.Information => "note", LogLevel.Warning => "warning", _ => "error" };
        Write($"sphost: {level} {formatter(state, exception)}");
    }

    /// <summary>Writes a finding: <c>sphost: warning SPnnnn: …</c>.</summary>
    public void Write(Diagnostic diagnostic)
        => Write($"sphost: {diagnostic.Severity.ToString().ToLowerInvariant()} {diagnostic.Code}: {diagnostic.Message}");

    /// <summary>What was logged, from a line that such a logger wrote.</summary>
    public static string MessageOf(string line)
    {
        foreach (string level in s_levels)
        {
            if (line.StartsWith(level, StringComparison.Ordinal)) return line[level.Length..];
        }

        return line;
    }

    private void Write(string line)
    {
        lock (_gate) writer.WriteLine(line.ReplaceLineEndings(" "));
    }
}
