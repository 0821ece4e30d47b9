using Microsoft.Extensions.Logging;

namespace StoragePlugins.Host.Comparison;

/// <summary>Keeps what strategies log, each message once, until the table is written: every run opens the same images again.</summary>
/// <remarks>Thread-safe. Bounded.</remarks>
internal sealed class NoteCollector : ILogger
{
    // A strategy that says something new each time is cut off; there are few strategies.
    private const int MaxNotes = 200;

    private readonly Lock _lock = new();
    private readonly List<string> _notes = [];

    /// <summary>In the order of their first appearance.</summary>
    public IReadOnlyList<string> Notes
    {
        get
        {
            lock (_lock) return [.. _notes];
        }
    }

    /// <summary>Adds a line.</summary>
    public void Add(string note)
    {
        lock (_lock)
        {
            if (_notes.Count < MaxNotes && !_notes.Contains(note)) _notes.Add(note);
        }
    }

    /// <summary>Adds what a child of this program wrote to its standard error: the same notes as if it had been done here.</summary>
    public void AddErrorsOf(string output)
    {
        foreach (string line in output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)) Add(Diagnostics.ConsoleLogger.MessageOf(line));
    }

    /// <inheritdoc/>
    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    /// <inheritdoc/>
    public bool IsEnabled(LogLevel logLevel) => logLevel is >= LogLevel.Information and < LogLevel.None;

    /// <inheritdoc/>
    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel)) Add(formatter(state, exception).ReplaceLineEndings(" "));
    }
}
