using System.CommandLine;
using System.Text.Json.Nodes;
using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost plugins list|show|check</c>.</summary>
internal static class PluginsCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services) => new("plugins", "Say which plugins and strategies there are.")
    {
        CreateList(services),
        CreateShow(services),
        CreateCheck(services),
    };

    private static Command CreateList(HostServices services)
    {
        var command = new Command("list", "List the plugins found and the strategies that they offer. Runs no code of theirs.") { services.Json, services.Config };
        command.SetAction(commandLine =>
        {
            using HostSession session = services.Start(commandLine);
            if (commandLine.GetValue(services.Json)) services.Output.WriteJson(PluginReports.Catalog(session.Catalog));
            else WriteList(session, services.Output);
            return ExitCodes.Done;
        });
        return command;
    }

    private static void WriteList(HostSession session, CommandOutput output)
    {
        output.WriteTable(["KIND", "ID", "PLUGIN", "SUMMARY"], session.Catalog.Strategies.Select(strategy => (IReadOnlyList<Cell>)[
            strategy.Kind.Label(), strategy.Id, strategy.Source,
            strategy.Declaration.Unsafe is { } reason ? new Cell($"UNSAFE: {reason}", Cell.Caution) : strategy.Declaration.Summary]));
        PluginEntry[] idle = [.. session.Catalog.Plugins.Where(plugin => !plugin.IsUsable)];
        if (idle.Length > 0)
        {
            output.WriteLine();
            output.WriteTable(["PLUGIN", "STATE", "WHERE"], idle.Select(plugin => (IReadOnlyList<Cell>)[
                plugin.Name, new Cell(plugin.State.ToString().ToLowerInvariant(), plugin.State == PluginState.Rejected ? Cell.Bad : null), plugin.Path]));
        }

        session.ReportPluginFindings();
    }

    private static Command CreateShow(HostServices services)
    {
        var id = new Argument<string>("ID") { Description = "A strategy's id, or a plugin's name." };
        var command = new Command("show", "Show a plugin or strategy: versions, dependencies, options. Loads it.") { id, services.Json, services.Config };
        command.SetAction(commandLine =>
        {
            using HostSession session = services.Start(commandLine);
            JsonObject[] found = [.. Matches(session.Catalog, commandLine.GetValue(id)!).Select(plugin => PluginReports.Plugin(plugin, session.Catalog))];
            if (commandLine.GetValue(services.Json)) services.Output.WriteJson(found.Length == 1 ? found[0] : new JsonArray([.. found]));
            else foreach (JsonObject plugin in found) PluginReports.Write(plugin, services.Output);
            return ExitCodes.Done;
        });
        return command;
    }

    private static PluginEntry[] Matches(PluginCatalog catalog, string id)
    {
        PluginEntry[] byStrategy = [.. catalog.Strategies.Where(strategy => strategy.Id == id).Select(strategy => strategy.Plugin).OfType<PluginEntry>().Distinct()];
        if (byStrategy.Length > 0) return byStrategy;
        PluginEntry[] byName = [.. catalog.Plugins.Where(plugin => plugin.Name.Equals(id, StringComparison.OrdinalIgnoreCase))];
        if (byName.Length > 0) return byName;
        foreach (StrategyKind kind in StrategyKinds.All)
        {
            if (catalog.Explain(kind, id, null) is { Code: not ("SP2007" or "SP2008") } rejection) throw rejection.ToException();
        }

        string[] known = [.. catalog.Strategies.Select(strategy => strategy.Id).Concat(catalog.Plugins.Select(plugin => plugin.Name)).Distinct()];
        string what = catalog.Strategies.Any(strategy => strategy.Id == id) ? $"'{id}' is part of sphost itself" : $"there is no strategy or plugin '{id}'";
        throw new DiagnosticException("SP2007", what, fix: Spelling.Suggest(id, known));
    }

    private static Command CreateCheck(HostServices services)
    {
        var path = new Argument<string>("PATH") { Description = "A plugin's folder or DLL." };
        var command = new Command("check", "Say whether a plugin would work here, from its metadata. Runs no code of it.") { path, services.Json };
        command.SetAction(commandLine =>
        {
            PluginProbeResult probe = new PluginDiscovery(TimeProvider.System).ExaminePath(commandLine.GetValue(path)!);
            bool isUsable = probe.Rejection is null && probe.Manifest is not null;
            if (commandLine.GetValue(services.Json))
            {
                services.Output.WriteJson(PluginReports.Probe(probe, isUsable));
                return isUsable ? ExitCodes.Done : ExitCodes.Failed;
            }

            foreach (Diagnostic finding in probe.Findings) services.Logger.Write(finding);
            if (!isUsable) return ExitCodes.Failed;
            PluginReports.Write(PluginReports.Manifest(probe.Manifest!), services.Output);
            services.Output.WriteLine($"{probe.Path}: would be loaded");
            return ExitCodes.Done;
        });
        return command;
    }
}
