using System.CommandLine;
using StoragePlugins.Host.Diagnostics;

namespace StoragePlugins.Host.Commands;

/// <summary>What every command is given: the options that commands share, and a way to what they configure.</summary>
/// <remarks>A command is <c>internal static Command Create(HostServices services)</c> and calls <see cref="Start"/> in its action.</remarks>
internal sealed class HostServices(TextWriter output, TextWriter error)
{
    /// <summary><c>--plugins DIR</c>, any number of times, with every command.</summary>
    public Option<string[]> Plugins { get; } = new("--plugins")
    {
        Description = "A further directory of plugins; can be repeated.",
        HelpName = "DIR",
        Recursive = true,
        AllowMultipleArgumentsPerToken = false,
        DefaultValueFactory = _ => [],
    };

    /// <summary><c>--config FILE</c>; added by the commands that know pipelines.</summary>
    public Option<string?> Config { get; } = new("--config") { Description = "Configuration with pipelines and disks (JSON).", HelpName = "FILE" };

    /// <summary><c>--json</c>; added by the commands that list.</summary>
    public Option<bool> Json { get; } = new("--json") { Description = "Print JSON." };

    /// <summary>Standard output.</summary>
    public CommandOutput Output { get; } = new(output);

    /// <summary>Notes, warnings and errors, on standard error.</summary>
    public ConsoleLogger Logger { get; } = new(error);

    /// <summary>Reads the configuration and scans for plugins, as the command line says.</summary>
    /// <exception cref="DiagnosticException">The configuration or a plugin directory cannot be used.</exception>
    public HostSession Start(ParseResult commandLine, bool isServing = false)
        => HostSession.Open(commandLine.GetValue(Plugins) ?? [], ConfigOf(commandLine), Logger, isServing);

    // The option belongs to some commands only; for the others there is no configuration.
    private string? ConfigOf(ParseResult commandLine) => commandLine.GetResult(Config) is null ? null : commandLine.GetValue(Config);
}
