using System.CommandLine;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using System.Reflection;
using StoragePlugins.Host.Diagnostics;

namespace StoragePlugins.Host.Commands;

/// <summary>The command line of sphost.</summary>
internal static class HostCommandLine
{
    /// <summary>Runs a command line.</summary>
    /// <returns>The exit code: 0 done, 1 failed, 2 usage.</returns>
    public static async Task<int> RunAsync(string[] arguments, TextWriter output, TextWriter error)
    {
        try
        {
            ParseResult commandLine = CreateRoot(new HostServices(output, error)).Parse(arguments);
            if (commandLine.Action is ParseErrorAction)
            {
                foreach (var problem in commandLine.Errors) await error.WriteLineAsync($"sphost: error: {problem.Message}").ConfigureAwait(false);
                await error.WriteLineAsync($"sphost: try '{CommandPath(commandLine)} --help'").ConfigureAwait(false);
                return ExitCodes.Usage;
            }

            var invocation = new InvocationConfiguration { EnableDefaultExceptionHandler = false, Output = output, Error = error, ProcessTerminationTimeout = null };
            int exitCode = await commandLine.InvokeAsync(invocation).ConfigureAwait(false);
            await output.FlushAsync().ConfigureAwait(false);
            return exitCode;
        }
        catch (Exception exception)
        {
            return FailureReport.Write(exception, error);
        }
    }

    /// <summary>The root command; each command is made by the file of its name.</summary>
    public static RootCommand CreateRoot(HostServices services)
    {
        var root = new RootCommand("Hosts virtual disks whose storage strategy is a plugin.")
        {
            ServeCommand.Create(services),
            MountCommand.Create(services),
            DiskCommand.Create(services),
            ImageCommand.Create(services),
            PluginsCommand.Create(services),
            PipelinesCommand.Create(services),
            CompareCommand.Create(services),
            EvaluateCommand.Create(services),
            NbdTestCommand.Create(services),
            CrashTestCommand.Create(services),
            ConformanceCommand.Create(services),
        };
        root.Options.Add(services.Plugins);
        foreach (Option option in root.Options)
        {
            if (option is VersionOption version) version.Action = new ShowVersion(services.Output);
        }

        return root;
    }

    /// <summary>The host's version, without the commit.</summary>
    public static string Version { get; } = typeof(HostCommandLine).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+', 2)[0];

    private static string CommandPath(ParseResult commandLine)
    {
        var names = new Stack<string>();
        for (CommandResult? at = commandLine.CommandResult; at is not null; at = at.Parent as CommandResult)
            names.Push(at.Command is RootCommand ? "sphost" : at.Command.Name);
        return string.Join(' ', names);
    }

    private sealed class ShowVersion(CommandOutput output) : SynchronousCommandLineAction
    {
        public override int Invoke(ParseResult parseResult)
        {
            output.WriteLine($"sphost {Version}");
            return ExitCodes.Done;
        }
    }
}
