namespace StoragePlugins.Host.Diagnostics;

/// <summary>All the errors of one configuration, so that a user mends a file in one go.</summary>
internal sealed class InvalidConfigurationException(IReadOnlyList<Diagnostic> errors)
    : Exception(string.Join(Environment.NewLine, errors.Select(error => $"{error.Code}: {error.Message}")))
{
    /// <summary>At least one, in the order of the file.</summary>
    public IReadOnlyList<Diagnostic> Errors { get; } = errors;
}
