using System.CommandLine;
using System.Text.Json.Nodes;
using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost pipelines list|show|validate</c>.</summary>
internal static class PipelinesCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services) => new("pipelines", "Say which pipelines there are, and check configurations.")
    {
        CreateList(services),
        CreateShow(services),
        CreateValidate(services),
    };

    private static Command CreateList(HostServices services)
    {
        var command = new Command("list", "List the pipelines, built in and configured.") { services.Json, services.Config };
        command.SetAction(commandLine =>
        {
            using HostSession session = services.Start(commandLine);
            PipelineDefinition[] pipelines = [.. session.Configuration.Pipelines];
            if (commandLine.GetValue(services.Json))
            {
                services.Output.WriteJson(new JsonArray([.. pipelines.Select(pipeline => Report(pipeline, session.Catalog))]));
            }
            else
            {
                services.Output.WriteTable(["NAME", "FORMAT", "JOURNAL", "ORDERING", "MEDIUM", "STATE", "DESCRIPTION"], pipelines.Select(pipeline => Row(pipeline, session.Catalog)));
            }

            session.RequireValidConfiguration();
            return ExitCodes.Done;
        });
        return command;
    }

    private static Command CreateShow(HostServices services)
    {
        var name = new Argument<string>("NAME") { Description = "A pipeline's name." };
        var command = new Command("show", "Show a pipeline: its strategies, their options, whether it can be opened.") { name, services.Json, services.Config };
        command.SetAction(commandLine =>
        {
            using HostSession session = services.Start(commandLine);
            PipelineDefinition pipeline = session.Configuration.Pipeline(commandLine.GetValue(name)!);
            if (commandLine.GetValue(services.Json)) services.Output.WriteJson(Report(pipeline, session.Catalog));
            else Write(pipeline, session.Catalog, services.Output);
            return ExitCodes.Done;
        });
        return command;
    }

    private static Command CreateValidate(HostServices services)
    {
        var file = new Argument<string>("FILE") { Description = "A configuration." };
        var command = new Command("validate", "Check a configuration against the plugins that are there; report every problem.") { file, services.Json };
        command.SetAction(commandLine =>
        {
            string path = commandLine.GetValue(file)!;
            using HostSession session = HostSession.Open(commandLine.GetValue(services.Plugins) ?? [], path, services.Logger);
            IReadOnlyList<Diagnostic> problems = PipelineValidator.Check(session.Configuration, session.Catalog);
            if (commandLine.GetValue(services.Json))
            {
                services.Output.WriteJson(new JsonObject { ["file"] = path, ["valid"] = problems.Count == 0, ["problems"] = Problems(problems) });
                return problems.Count == 0 ? ExitCodes.Done : ExitCodes.Failed;
            }

            if (problems.Count > 0) throw new InvalidConfigurationException(problems);
            services.Output.WriteLine($"{path}: valid, {session.Configuration.Defined.Count} pipelines, {session.Configuration.Disks.Count} disks");
            return ExitCodes.Done;
        });
        return command;
    }

    private static Cell[] Row(PipelineDefinition pipeline, PluginCatalog catalog) =>
    [
        pipeline.Name + (pipeline.Name == BuiltInPipelines.Default ? " (default)" : ""), pipeline.Format.Id, pipeline.Journal.Id, pipeline.Ordering.Id,
        string.Join(" on ", pipeline.Media.Select(medium => medium.Id)), State(pipeline, catalog), pipeline.Description,
    ];

    private static Cell State(PipelineDefinition pipeline, PluginCatalog catalog)
        => PipelineValidator.Check(pipeline, catalog) is { Count: > 0 } problems ? new Cell($"unusable ({problems[0].Code})", Cell.Bad)
            : PipelineValidator.UnsafeReasons(pipeline, catalog).Count > 0 ? new Cell("UNSAFE", Cell.Caution)
            : new Cell("ready", Cell.Good);

    private static void Write(PipelineDefinition pipeline, PluginCatalog catalog, CommandOutput output)
    {
        IReadOnlyList<Diagnostic> problems = PipelineValidator.Check(pipeline, catalog);
        IReadOnlyList<string> reasons = PipelineValidator.UnsafeReasons(pipeline, catalog);
        output.WriteFacts([
            ("name", pipeline.Name),
            ("description", pipeline.Description),
            ("defined in", pipeline.Source ?? "sphost"),
            .. pipeline.Uses.Select(use => (use.Kind.Label(), $"{use.Id}{OptionsText(use)}")),
            .. reasons.Select(reason => ("UNSAFE", reason)),
            .. problems.Select(problem => ("unusable", $"{problem.Code}: {problem.Message}"))]);
    }

    private static string OptionsText(StrategyUse use)
        => use.Options.Count == 0 ? "" : $" ({string.Join(", ", use.Options.Select(option => $"{option.Name}: {Json(option.Value)?.ToJsonString()}"))})";

    private static JsonObject Report(PipelineDefinition pipeline, PluginCatalog catalog)
    {
        IReadOnlyList<Diagnostic> problems = PipelineValidator.Check(pipeline, catalog);
        return new JsonObject
        {
            ["name"] = pipeline.Name,
            ["description"] = pipeline.Description,
            ["builtIn"] = pipeline.Source is null,
            ["default"] = pipeline.Name == BuiltInPipelines.Default,
            ["source"] = pipeline.Source,
            ["format"] = Use(pipeline.Format),
            ["journal"] = Use(pipeline.Journal),
            ["ordering"] = Use(pipeline.Ordering),
            ["medium"] = new JsonArray([.. pipeline.Media.Select(Use)]),
            ["usable"] = problems.Count == 0,
            ["unsafe"] = new JsonArray([.. PipelineValidator.UnsafeReasons(pipeline, catalog).Select(reason => (JsonNode)reason)]),
            ["problems"] = Problems(problems),
        };
    }

    private static JsonObject Use(StrategyUse use)
    {
        var report = new JsonObject { ["id"] = use.Id };
        foreach (OptionSetting option in use.Options) report[option.Name] = Json(option.Value);
        return report;
    }

    private static JsonNode? Json(ConfigNode node) => node switch
    {
        ConfigArray array => new JsonArray([.. array.Items.Select(Json)]),
        ConfigObject body => new JsonObject(body.Members.Select(member => KeyValuePair.Create(member.Name, Json(member.Value)))),
        ConfigScalar { Kind: ConfigScalarKind.String } text => text.Text,
        ConfigScalar scalar => JsonNode.Parse(scalar.Text),
        _ => null,
    };

    private static JsonArray Problems(IEnumerable<Diagnostic> problems)
        => new([.. problems.Select(problem => new JsonObject { ["code"] = problem.Code, ["message"] = problem.Message })]);
}
