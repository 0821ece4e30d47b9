using StoragePlugins.Host.Commands;

namespace StoragePlugins.Host.Diagnostics;

/// <summary>Turns what ended a command into lines on standard error and an exit code. The only place that does.</summary>
internal static class FailureReport
{
    /// <summary>Set to 1 to see stack traces.</summary>
    public const string TraceVariable = "STORAGEPLUGINS_TRACE";

    /// <summary>Reports the failure.</summary>
    /// <returns>The exit code.</returns>
    public static int Write(Exception exception, TextWriter error)
    {
        switch (exception)
        {
            case InvalidConfigurationException invalid:
                foreach (Diagnostic diagnostic in invalid.Errors) error.WriteLine($"sphost: error {diagnostic.Code}: {diagnostic.Message}");
                break;
            case DiagnosticException diagnostic:
                error.WriteLine($"sphost: error {diagnostic.Code}: {diagnostic.Message}");
                break;
            case StorageException storage:
                error.WriteLine($"sphost: error SP5003: {storage.Message.ReplaceLineEndings(" ")}");
                break;
            case OperationCanceledException:
                error.WriteLine("sphost: cancelled");
                break;
            default:
                error.WriteLine(
                    $"sphost: error SP9001: internal error: {exception.GetType().Name}: {exception.Message.ReplaceLineEndings(" ")}; set {TraceVariable}=1 for the trace and report it");
                break;
        }

        if (Environment.GetEnvironmentVariable(TraceVariable) == "1") error.WriteLine(exception.ToString());
        return ExitCodes.Failed;
    }
}
