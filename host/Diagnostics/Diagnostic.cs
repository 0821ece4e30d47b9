namespace StoragePlugins.Host.Diagnostics;

/// <summary>How much a finding matters.</summary>
internal enum DiagnosticSeverity
{
    /// <summary>Worth knowing; everything works.</summary>
    Note = 0,

    /// <summary>Something was ignored or is weaker than it looks.</summary>
    Warning,

    /// <summary>Something cannot be used.</summary>
    Error,
}

/// <summary>A finding that does not end the command: the collectable form of a <see cref="DiagnosticException"/>.</summary>
/// <param name="Severity">How much it matters.</param>
/// <param name="Code">SPnnnn, with a page under docs/diagnostics.</param>
/// <param name="What">What is the matter, one clause.</param>
/// <param name="Where">File, line, key.</param>
/// <param name="Expected">What would have been right.</param>
/// <param name="Found">What is there instead.</param>
/// <param name="Fix">What to do about it.</param>
internal sealed record Diagnostic(
    DiagnosticSeverity Severity, string Code, string What, string? Where = null, string? Expected = null, string? Found = null, string? Fix = null)
{
    /// <summary>The one line that users see after the code.</summary>
    public string Message => ToException().Message;

    /// <summary>An error.</summary>
    public static Diagnostic Error(string code, string what, string? where = null, string? expected = null, string? found = null, string? fix = null)
        => new(DiagnosticSeverity.Error, code, what, where, expected, found, fix);

    /// <summary>A warning.</summary>
    public static Diagnostic Warning(string code, string what, string? where = null, string? expected = null, string? found = null, string? fix = null)
        => new(DiagnosticSeverity.Warning, code, what, where, expected, found, fix);

    /// <summary>A note.</summary>
    public static Diagnostic Note(string code, string what, string? where = null, string? fix = null)
        => new(DiagnosticSeverity.Note, code, what, where, Fix: fix);

    /// <summary>The same finding, collected instead of thrown.</summary>
    public static Diagnostic From(DiagnosticException exception)
        => new(DiagnosticSeverity.Error, exception.Code, exception.What, exception.Where, exception.Expected, exception.Found, exception.Fix);

    /// <summary>The same finding, to be thrown.</summary>
    public DiagnosticException ToException(Exception? inner = null) => new(Code, What, Where, Expected, Found, Fix, inner);
}
