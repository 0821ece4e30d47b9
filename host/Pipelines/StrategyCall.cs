using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Pipelines;

/// <summary>Calls into plugins on the control plane: what their code throws beside its contract becomes a diagnostic that names it.</summary>
internal static class StrategyCall
{
    /// <summary>Calls; diagnostics and I/O errors pass as they are.</summary>
    /// <param name="implementation">The strategy's class.</param>
    /// <param name="strategy">"format 'qcow2'".</param>
    /// <param name="target">What it was to work on.</param>
    /// <param name="call">The call.</param>
    /// <exception cref="DiagnosticException">SP1022: the strategy failed in a way that its contract does not have. SP1026: it returned null.</exception>
    public static T Guard<T>(Type implementation, string strategy, string target, Func<T> call)
    {
        try
        {
            return call() ?? throw new DiagnosticException(
                "SP1026", $"{strategy} returned nothing where its contract has it return something", target, found: Owner(implementation), fix: "report it to the plugin's author");
        }
        catch (Exception exception) when (exception is not (DiagnosticException or IOException or OperationCanceledException))
        {
            throw new DiagnosticException(
                "SP1022", $"{strategy} failed: {exception.GetType().Name}: {exception.Message.TrimEnd('.')}", target,
                found: $"an exception of {PluginBlame.Of(exception)}; the strategy is {Owner(implementation)}", fix: "report it to the plugin's author", inner: exception);
        }
    }

    private static string Owner(Type implementation) => $"{implementation.FullName} of {PluginBlame.PluginOf(implementation.Assembly) ?? implementation.Assembly.GetName().Name}";
}
