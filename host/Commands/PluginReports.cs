using System.Text.Json.Nodes;
using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Commands;

/// <summary>What the <c>plugins</c> commands say, as JSON; the texts for people are made from the same.</summary>
internal static class PluginReports
{
    /// <summary>All plugins and strategies.</summary>
    public static JsonObject Catalog(PluginCatalog catalog) => new()
    {
        ["contracts"] = SharedAssemblies.HostContractsVersion.ToString(2),
        ["sharedAssemblies"] = Strings(SharedAssemblies.Names),
        ["searchPath"] = new JsonArray([.. catalog.SearchPath.Directories.Select(directory => new JsonObject { ["path"] = directory.Path, ["origin"] = directory.Origin })]),
        ["strategies"] = new JsonArray([.. catalog.Strategies.Select(strategy => Strategy(strategy.Declaration, strategy.Source))]),
        ["plugins"] = new JsonArray([.. catalog.Plugins.Select(Entry)]),
    };

    /// <summary>One plugin with its options' schemas and what its strategies say of this machine; loads it when it can be.</summary>
    public static JsonObject Plugin(PluginEntry plugin, PluginCatalog catalog)
    {
        var details = new Dictionary<StrategyManifest, (JsonObject? Options, JsonObject? Machine, JsonArray Implements)>();
        LoadedPlugin? loaded = null;
        try
        {
            if (plugin.IsUsable) loaded = plugin.Load();
            foreach (StrategyManifest strategy in loaded is null ? [] : plugin.Manifest!.Strategies)
            {
                string owner = $"{strategy.Kind.Label()} '{strategy.Id}'";
                Type? options = catalog.OptionsType(new StrategyDescriptor(strategy, plugin));
                details[strategy] = (options is null ? null : OptionSchema.Export(options, owner), Machine(plugin, strategy, owner), Implements(plugin.Create(strategy.Kind, strategy.Id)));
            }
        }
        catch (DiagnosticException exception)
        {
            plugin.Add(Diagnostic.From(exception));
        }

        JsonObject report = Entry(plugin);
        if (loaded is not null)
        {
            report["loadContext"] = loaded.LoadContextName;
            report["loadedAssemblies"] = Strings(loaded.LoadedAssemblies);
        }

        foreach (JsonNode? node in report["strategies"] as JsonArray ?? [])
        {
            StrategyManifest? match = details.Keys.FirstOrDefault(strategy => strategy.Kind.Label() == (string?)node!["kind"] && strategy.Id == (string?)node["id"]);
            if (match is null) continue;
            if (details[match].Options is { } options) node!["options"] = options;
            if (details[match].Machine is { } machine) node!["machine"] = machine;
            node!["implements"] = details[match].Implements;
            node["threads"] = match.Kind.ThreadRule();
        }

        return report;
    }

    /// <summary>What a strategy says of this machine, by name; null when it says nothing.</summary>
    private static JsonObject? Machine(PluginEntry plugin, StrategyManifest strategy, string owner)
    {
        if (plugin.Create(strategy.Kind, strategy.Id) is not IMachineReport reporter) return null;
        IReadOnlyList<MachineFact> facts = StrategyCall.Guard(reporter.GetType(), owner, plugin.Path, reporter.DescribeMachine);
        var machine = new JsonObject();
        foreach (MachineFact fact in facts) machine[fact.Name] = fact.Value;
        return machine;
    }

    // What of the contracts it is, beyond its kind: what it can do.
    private static JsonArray Implements(object strategy) =>
        Strings(strategy.GetType().GetInterfaces().Where(type => type.Assembly == typeof(IBlockFormat).Assembly).Select(type => type.Name).Order(StringComparer.Ordinal));

    /// <summary>The answer of <c>plugins check</c>.</summary>
    public static JsonObject Probe(PluginProbeResult probe, bool isUsable)
    {
        JsonObject report = probe.Manifest is { } manifest ? Manifest(manifest) : [];
        report["path"] = probe.Path;
        report["usable"] = isUsable;
        report["findings"] = Findings(probe.Findings);
        return report;
    }

    /// <summary>What metadata says.</summary>
    public static JsonObject Manifest(PluginManifest manifest) => new()
    {
        ["name"] = manifest.Name,
        ["version"] = manifest.Version,
        ["description"] = manifest.Description,
        ["mainAssembly"] = manifest.MainAssembly,
        ["sha256"] = manifest.Sha256,
        ["targetFramework"] = manifest.TargetFramework,
        ["contracts"] = manifest.ContractsVersion?.ToString(2),
        ["sharedDependencies"] = References(manifest, ReferenceOrigin.Shared),
        ["privateDependencies"] = References(manifest, ReferenceOrigin.Private),
        ["missingDependencies"] = References(manifest, ReferenceOrigin.Missing),
        ["strategies"] = new JsonArray([.. manifest.Strategies.Select(strategy => Strategy(strategy, null))]),
    };

    /// <summary>Writes a report for people.</summary>
    public static void Write(JsonObject report, CommandOutput output)
    {
        output.WriteFacts(from property in report
                          where property.Key is not ("strategies" or "findings") && Text(property.Value).Length > 0
                          select (property.Key, Text(property.Value)));
        foreach (JsonNode? strategy in report["strategies"] as JsonArray ?? []) WriteStrategy((JsonObject)strategy!, output);
        foreach (JsonNode? finding in report["findings"] as JsonArray ?? []) output.WriteLine($"{finding!["severity"]} {finding["code"]}: {finding["message"]}");
        output.WriteLine();
    }

    private static void WriteStrategy(JsonObject strategy, CommandOutput output)
    {
        output.WriteLine();
        output.WriteLine($"{strategy["kind"]} '{strategy["id"]}': {strategy["summary"]}");
        if (strategy["unsafe"] is { } reason) output.WriteLine($"  UNSAFE: {reason}");
        if (strategy["implements"] is { } implements) output.WriteLine($"  implements {Text(implements)}");
        if (strategy["threads"] is { } threads) output.WriteLine($"  threads: {threads}");
        if (strategy["machine"] is JsonObject machine)
        {
            output.WriteLine("  on this machine");
            output.WriteFacts(machine.Select(fact => ("    " + fact.Key, Text(fact.Value))));
        }

        if ((strategy["options"] as JsonObject)?["properties"] is not JsonObject properties) return;
        output.WriteTable(["  OPTION", "DEFAULT", "ALLOWED", "DESCRIPTION"], properties.Select(property => (IReadOnlyList<Cell>)[
            "  " + property.Key, Quantity(property.Value?["default"]), Allowed(property.Value), Text(property.Value?["description"])]));
    }

    private static string Allowed(JsonNode? schema)
        => schema?["enum"] is JsonArray choices ? Text(choices)
            : schema?["minimum"] is { } minimum ? $"{Quantity(minimum)} to {Quantity(schema["maximum"])}"
            : schema?["type"] is JsonArray types ? string.Join(" or ", types.Select(Text))
            : Text(schema?["type"]);

    /// <summary>A number that is whole KiB as a size, as people write it in options; the JSON has plain numbers.</summary>
    private static string Quantity(JsonNode? node)
        => node is JsonValue value && value.TryGetValue(out long number) && number != 0 && number % 1024 == 0 ? Quantities.FormatSize(number) : Text(node);

    private static string Text(JsonNode? node) => node switch
    {
        null => "",
        JsonArray array => string.Join(", ", array.Select(Text)),
        _ => node.ToString(),
    };

    private static JsonObject Entry(PluginEntry plugin)
    {
        JsonObject report = plugin.Manifest is { } manifest ? Manifest(manifest) : new JsonObject { ["name"] = plugin.Name };
        report.Insert(1, "state", plugin.State.ToString().ToLowerInvariant());
        report["path"] = plugin.Path;
        report["origin"] = $"{plugin.Directory.Path} ({plugin.Directory.Origin})";
        report["findings"] = Findings(plugin.Findings);
        return report;
    }

    private static JsonObject Strategy(StrategyManifest strategy, string? source)
    {
        var report = new JsonObject
        {
            ["kind"] = strategy.Kind.Label(), ["id"] = strategy.Id, ["summary"] = strategy.Summary, ["unsafe"] = strategy.Unsafe,
            ["class"] = strategy.ClassName.Length == 0 ? null : strategy.ClassName, ["optionsType"] = strategy.OptionsType,
        };
        if (source is not null) report["source"] = source;
        return report;
    }

    private static JsonArray References(PluginManifest manifest, ReferenceOrigin origin)
        => Strings(manifest.References.Where(reference => reference.Origin == origin).Select(reference => $"{reference.Name} {reference.Version}"));

    private static JsonArray Findings(IEnumerable<Diagnostic> findings) => new([.. findings.Select(finding => new JsonObject
    {
        ["severity"] = finding.Severity.ToString().ToLowerInvariant(), ["code"] = finding.Code, ["message"] = finding.Message,
    })]);

    private static JsonArray Strings(IEnumerable<string> values) => new([.. values.Select(value => (JsonNode)value)]);
}
