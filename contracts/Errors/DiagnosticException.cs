using System.Text;

namespace StoragePlugins;

/// <summary>
/// A condition that a user can act on: one line with a stable code, what, where, expected and found, and how to fix it.
/// </summary>
/// <remarks>The host prints <see cref="Exception.Message"/> as <c>sphost: error CODE: …</c> without a stack trace. Codes <c>SPnnnn</c> are the
/// project's, one page each under docs/diagnostics; a third party's plugin uses a prefix of its own.</remarks>
public sealed class DiagnosticException : Exception
{
    /// <summary>Describes the condition.</summary>
    /// <param name="code">For example <c>SP3001</c>.</param>
    /// <param name="what">What is the matter, one clause, no final stop.</param>
    /// <param name="where">File, offset, key: where it was found.</param>
    /// <param name="expected">What would have been right.</param>
    /// <param name="found">What is there instead.</param>
    /// <param name="fix">What to do about it.</param>
    /// <param name="inner">The cause.</param>
    public DiagnosticException(
        string code, string what, string? where = null, string? expected = null, string? found = null, string? fix = null, Exception? inner = null)
        : base(Compose(what, where, expected, found, fix), inner)
    {
        Code = code;
        What = what;
        Where = where;
        Expected = expected;
        Found = found;
        Fix = fix;
    }

    /// <summary>The stable code.</summary>
    public string Code { get; }

    /// <summary>What is the matter.</summary>
    public string What { get; }

    /// <summary>Where it was found.</summary>
    public string? Where { get; }

    /// <summary>What would have been right.</summary>
    public string? Expected { get; }

    /// <summary>What is there instead.</summary>
    public string? Found { get; }

    /// <summary>What to do about it.</summary>
    public string? Fix { get; }

    private static string Compose(string what, string? where, string? expected, string? found, string? fix)
    {
        var line = new StringBuilder();
        if (where is not null) line.Append(where).Append(": ");
        line.Append(what);
        if (expected is not null && found is not null) line.Append(" (expected ").Append(expected).Append(", found ").Append(found).Append(')');
        else if (expected is not null) line.Append(" (expected ").Append(expected).Append(')');
        else if (found is not null) line.Append(" (found ").Append(found).Append(')');
        if (fix is not null) line.Append("; ").Append(fix);
        return line.ToString().ReplaceLineEndings(" ");
    }
}
