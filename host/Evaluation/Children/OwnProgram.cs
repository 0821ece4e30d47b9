using System.Text.Json.Nodes;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Evaluation.Children;

/// <summary>This very program as a child: a pipeline that is measured beside QEMU is served by a process of its own, as QEMU's disk is.</summary>
/// <param name="pluginDirectories">What the command line and the configuration name.</param>
/// <param name="allowedPlugins">Hashes, where the configuration has them; null for all.</param>
internal sealed class OwnProgram(IReadOnlyList<string> pluginDirectories, IReadOnlySet<string>? allowedPlugins)
{
    /// <summary>What the pipeline is called in the child's configuration.</summary>
    private const string Measured = "evaluated";

    /// <summary>Path of the program, and arguments that come before all others (where the runtime was started with the assembly's name).</summary>
    public static (string Program, string[] Before) Executable { get; } = Find();

    /// <summary>Starts it with a pipeline.</summary>
    /// <param name="pipeline">What <c>--pipeline</c> is to mean.</param>
    /// <param name="folder">For the child's configuration.</param>
    /// <param name="arguments">Command and arguments.</param>
    public ServerProcess Start(PipelineDefinition pipeline, string folder, params string[] arguments)
    {
        string configuration = Path.Combine(folder, "pipeline.json");
        var content = new JsonObject { ["pipelines"] = new JsonObject { [Measured] = Describe(pipeline) } };
        if (allowedPlugins is not null) content["allowedPlugins"] = new JsonArray([.. allowedPlugins.Select(hash => (JsonNode)hash)]);
        File.WriteAllText(configuration, content.ToJsonString());
        return ServerProcess.Start(Executable.Program, [.. Executable.Before, .. arguments, "--config", configuration, "--pipeline", Measured, .. pluginDirectories.SelectMany(directory => (string[])["--plugins", directory])]);
    }

    /// <summary>A pipeline as a configuration has it.</summary>
    internal static JsonObject Describe(PipelineDefinition pipeline) => new()
    {
        ["format"] = Describe(pipeline.Format),
        ["journal"] = Describe(pipeline.Journal),
        ["ordering"] = Describe(pipeline.Ordering),
        ["medium"] = new JsonArray([.. pipeline.Media.Select(Describe)]),
    };

    private static JsonNode Describe(StrategyUse use)
    {
        var node = new JsonObject { ["id"] = use.Version is { } version ? $"{use.Id}@{version.Text}" : use.Id };
        foreach (OptionSetting option in use.Options) node[option.Name] = Describe(option.Value);
        return node;
    }

    private static JsonNode? Describe(ConfigNode value) => value switch
    {
        // What a command line says takes the type that the option has; a configuration takes text for all but truth values.
        ConfigScalar { Kind: ConfigScalarKind.Boolean } or ConfigScalar { Kind: ConfigScalarKind.CommandLine, Text: "true" or "false" } => ((ConfigScalar)value).Text == "true",
        ConfigScalar { Kind: ConfigScalarKind.Number } number => JsonNode.Parse(number.Text),
        ConfigScalar { Kind: not ConfigScalarKind.Null } text => text.Text,
        ConfigArray array => new JsonArray([.. array.Items.Select(Describe)]),
        ConfigObject members => new JsonObject(members.Members.Select(member => KeyValuePair.Create(member.Name, Describe(member.Value)))),
        _ => null,
    };

    private static (string, string[]) Find()
    {
        string program = Environment.ProcessPath!;
        return Path.GetFileNameWithoutExtension(program) == "dotnet" ? (program, [typeof(OwnProgram).Assembly.Location]) : (program, []);
    }
}
