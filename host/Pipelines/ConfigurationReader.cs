using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Plugins;
using StoragePlugins.Host.Telemetry;

namespace StoragePlugins.Host.Pipelines;

/// <summary>Reads a configuration file and checks its shape strictly. Every problem is reported, not only the first.</summary>
internal sealed class ConfigurationReader
{
    /// <summary>An export's name is sent to NBD clients: the protocol's recommended limit is 256 bytes; the rest of the name is the snapshot's.</summary>
    public const int MaxNameLength = 128;

    private static readonly string[] s_rootKeys = ["pluginDirectories", "allowedPlugins", "pipelines", "disks", "telemetry"];
    private static readonly string[] s_pipelineKeys = ["format", "journal", "ordering", "medium", "description"];
    private static readonly string[] s_telemetryKeys = ["otlp", "protocol", "serviceName", "dashboard"];
    private static readonly string[] s_diskKeys = ["image", "pipeline", "size", "readOnly", "description"];

    private readonly string _file;
    private readonly List<Diagnostic> _problems = [];

    private ConfigurationReader(string file) => _file = file;

    /// <summary>Reads a file.</summary>
    /// <returns>What could be understood, with <see cref="HostConfiguration.Problems"/>.</returns>
    /// <exception cref="DiagnosticException">It cannot be read or is not JSON.</exception>
    public static HostConfiguration Read(string file)
    {
        string full = Path.GetFullPath(file);
        var reader = new ConfigurationReader(file);
        ConfigNode root = ConfigParser.ReadFile(file, reader._problems);
        return reader.ReadRoot(root, full);
    }

    private HostConfiguration ReadRoot(ConfigNode root, string fullPath)
    {
        string folder = Path.GetDirectoryName(fullPath)!;
        ConfigObject? body = As<ConfigObject>(root, "the file", "an object");
        CheckKeys(body, "", s_rootKeys);
        IReadOnlyList<ConfigMember> entries = Entries(body, "pipelines");
        PipelineDefinition[] pipelines = [.. entries.Select(ReadPipeline).OfType<PipelineDefinition>()];
        HashSet<string> known = [.. BuiltInPipelines.All.Select(pipeline => pipeline.Name), .. entries.Select(entry => entry.Name)];
        return new HostConfiguration
        {
            File = fullPath,
            PluginDirectories = [.. ReadDirectories(body?["pluginDirectories"]).Select(directory => Path.GetFullPath(directory, folder))],
            AllowedPlugins = ReadHashes(body?["allowedPlugins"]),
            Defined = pipelines,
            Disks = [.. Entries(body, "disks").Select(entry => ReadDisk(entry, folder, known)).OfType<DiskDefinition>()],
            Telemetry = ReadTelemetry(body?["telemetry"]),
            Problems = _problems,
        };
    }

    private IReadOnlyList<ConfigMember> Entries(ConfigObject? body, string key)
        => body?[key] is { } node && As<ConfigObject>(node, key, "an object") is { } entries ? entries.Members : [];

    private IEnumerable<string> ReadDirectories(ConfigNode? node)
    {
        if (node is null || As<ConfigArray>(node, "pluginDirectories", "an array of strings") is not { } array) yield break;
        for (int i = 0; i < array.Items.Count; i++)
        {
            if (ReadString(array.Items[i], $"pluginDirectories[{i}]") is { Length: > 0 } directory) yield return directory;
        }
    }

    private PipelineDefinition? ReadPipeline(ConfigMember entry)
    {
        string path = $"pipelines.{entry.Name}";
        CheckName(entry, path);
        if (BuiltInPipelines.All.Any(pipeline => pipeline.Name == entry.Name))
        {
            Report("SP2011", $"'{path}' redefines a built-in pipeline", entry.Position, fix: "give it another name: built-in names mean the same on every machine");
        }

        if (As<ConfigObject>(entry.Value, path, "an object") is not { } body) return null;
        CheckKeys(body, path, s_pipelineKeys);
        StrategyUse? format = ReadUse(body, path, StrategyKind.Format);
        StrategyUse? journal = ReadUse(body, path, StrategyKind.Journal);
        StrategyUse? ordering = ReadUse(body, path, StrategyKind.Ordering);
        StrategyUse[]? media = ReadMedia(body, path);
        if (format is null || journal is null || ordering is null || media is null) return null;
        return new PipelineDefinition
        {
            Name = entry.Name,
            Description = ReadOptionalString(body, path, "description") ?? "",
            Format = format,
            Journal = journal,
            Ordering = ordering,
            Media = media,
            Source = _file,
        };
    }

    private StrategyUse? ReadUse(ConfigObject pipeline, string path, StrategyKind kind)
    {
        string key = kind.Label();
        if (pipeline[key] is { } node) return ReadUse(node, $"{path}.{key}", kind);
        Report("SP2010", $"'{path}' has no '{key}'", pipeline.Position, fix: $"add \"{key}\": \"…\"");
        return null;
    }

    /// <summary>A pipeline that names no medium stands on the file itself, as the built-in ones do; it is the one default, and the safe one.</summary>
    private StrategyUse[]? ReadMedia(ConfigObject pipeline, string path)
    {
        if (pipeline["medium"] is null) return [new StrategyUse(StrategyKind.Medium, BuiltInStrategies.FileMedium, [], $"{path}.medium", null)];
        if (pipeline["medium"] is not ConfigArray list) return ReadUse(pipeline, path, StrategyKind.Medium) is { } single ? [single] : null;
        if (list.Items.Count == 0)
        {
            Report("SP2006", $"'{path}.medium' is empty", list.Position, "at least one medium", fix: "name one, \"file\" for example");
            return null;
        }

        StrategyUse[] media = [.. list.Items.Select((item, index) => ReadUse(item, $"{path}.medium[{index}]", StrategyKind.Medium)).OfType<StrategyUse>()];
        return media.Length == list.Items.Count ? media : null;
    }

    private StrategyUse? ReadUse(ConfigNode node, string path, StrategyKind kind)
    {
        switch (node)
        {
            case ConfigScalar { Kind: ConfigScalarKind.String } id:
                return Use(kind, id.Text, [], path, id);
            case ConfigObject body when body["id"] is { } id:
                if (ReadString(id, $"{path}.id") is not { } text) return null;
                OptionSetting[] options = [.. from member in body.Members
                                              where member.Name != "id"
                                              select new OptionSetting(member.Name, member.Value, $"{path}.{member.Name}", ConfigParser.Where(_file, member.Position))];
                return Use(kind, text, options, path, id);
            case ConfigObject body:
                Report("SP2010", $"'{path}' has no 'id'", body.Position, fix: "add \"id\": \"…\"");
                return null;
            default:
                WrongType(path, node, "an id, or an object with \"id\" and options");
                return null;
        }
    }

    private StrategyUse? Use(StrategyKind kind, string text, IReadOnlyList<OptionSetting> options, string path, ConfigNode id)
    {
        if (VersionRequest.TrySplit(text, out string bare, out VersionRequest? version))
            return new StrategyUse(kind, bare, options, path, ConfigParser.Where(_file, id.Position)) { Version = version };
        Report("SP2014", $"'{path}' names versions in a way that cannot be read", id.Position, "id@1.2 (that or newer), id@[1.2] (that alone) or id@[1.0,2.0)", $"'{text}'");
        return null;
    }

    private HashSet<string>? ReadHashes(ConfigNode? node)
    {
        if (node is null || As<ConfigArray>(node, "allowedPlugins", "an array of SHA-256 hashes") is not { } array) return null;
        var hashes = new HashSet<string>(StringComparer.Ordinal);
        for (int i = 0; i < array.Items.Count; i++)
        {
            if (ReadString(array.Items[i], $"allowedPlugins[{i}]") is not { } hash) continue;
            if (hash.Length == 64 && hash.All(char.IsAsciiHexDigit)) hashes.Add(hash.ToLowerInvariant());
            else Report("SP2006", $"'allowedPlugins[{i}]' is no SHA-256", array.Items[i].Position, "64 hexadecimal digits, as 'sphost plugins show' prints them", $"'{hash}'");
        }

        return hashes;
    }

    private DiskDefinition? ReadDisk(ConfigMember entry, string folder, HashSet<string> pipelines)
    {
        string path = $"disks.{entry.Name}";
        CheckName(entry, path);
        if (As<ConfigObject>(entry.Value, path, "an object") is not { } body) return null;
        CheckKeys(body, path, s_diskKeys);
        string? image = ReadOptionalString(body, path, "image");
        if (body["image"] is null) Report("SP2010", $"'{path}' has no 'image'", body.Position, fix: "add \"image\": \"path\"");
        if (image is "") Report("SP2006", $"'{path}.image' is empty", body["image"]!.Position, "a path");
        string? pipeline = ReadOptionalString(body, path, "pipeline");
        if (pipeline is not null && !pipelines.Contains(pipeline))
            Report("SP2009", $"'{path}.pipeline' names a pipeline that is not there", body["pipeline"]!.Position, found: $"'{pipeline}'", fix: Spelling.Suggest(pipeline, pipelines));
        long? size = ReadSize(body["size"], $"{path}.size");
        bool readOnly = ReadBoolean(body["readOnly"], $"{path}.readOnly");
        if (size is not null && readOnly)
            Report("SP2006", $"'{path}' has a 'size' to make a missing image with, and is 'readOnly'", body["size"]!.Position, fix: "remove one of them");
        string description = ReadOptionalString(body, path, "description") ?? "";
        return image is null ? null : new DiskDefinition(entry.Name, Path.GetFullPath(image.Length == 0 ? "." : image, folder), pipeline, size, readOnly, description);
    }

    // What the values mean is checked where they are used: the command line and the environment name the same things.
    private TelemetrySettings ReadTelemetry(ConfigNode? node)
    {
        const string path = "telemetry";
        if (node is null || As<ConfigObject>(node, path, "an object") is not { } body) return TelemetrySettings.None;
        CheckKeys(body, path, s_telemetryKeys);
        return new TelemetrySettings
        {
            Otlp = ReadOptionalString(body, path, "otlp"),
            Protocol = ReadOptionalString(body, path, "protocol"),
            ServiceName = ReadOptionalString(body, path, "serviceName"),
            Dashboard = ReadOptionalString(body, path, "dashboard"),
        };
    }

    private void CheckName(ConfigMember entry, string path)
    {
        if (entry.Name.Length is >= 1 and <= MaxNameLength && entry.Name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.')) return;
        Report("SP2012", $"'{path}' has a name that cannot be used", entry.Position, $"1 to {MaxNameLength} of A-Z a-z 0-9 - _ .", $"'{entry.Name}'", "rename it");
    }

    private void CheckKeys(ConfigObject? body, string path, string[] known)
    {
        if (body is null) return;
        foreach (ConfigMember member in body.Members.Where(member => !known.Contains(member.Name)))
        {
            string keyPath = path.Length == 0 ? member.Name : $"{path}.{member.Name}";
            Report("SP2004", $"the key '{keyPath}' is not known", member.Position, fix: Spelling.Suggest(member.Name, known));
        }
    }

    private string? ReadOptionalString(ConfigObject body, string path, string key) => body[key] is { } node ? ReadString(node, $"{path}.{key}") : null;

    private string? ReadString(ConfigNode node, string path)
    {
        if (node is ConfigScalar { Kind: ConfigScalarKind.String } text) return text.Text;
        WrongType(path, node, "a string");
        return null;
    }

    private bool ReadBoolean(ConfigNode? node, string path)
    {
        if (node is null) return false;
        if (node is ConfigScalar { Kind: ConfigScalarKind.Boolean } value) return value.Text == "true";
        WrongType(path, node, "true or false");
        return false;
    }

    private long? ReadSize(ConfigNode? node, string path)
    {
        if (node is null) return null;
        if (node is not ConfigScalar { Kind: ConfigScalarKind.String or ConfigScalarKind.Number } value)
        {
            WrongType(path, node, "a size such as \"10G\"");
            return null;
        }

        if (Quantities.TryParseSize(value.Text, out long size) && size > 0) return size;
        Report("SP2006", $"'{path}' is no size that a disk can have", node.Position, "bytes above 0, or a number with K, M, G, T, P or E", $"'{value.Text}'");
        return null;
    }

    private T? As<T>(ConfigNode node, string path, string expected) where T : ConfigNode
    {
        if (node is T typed) return typed;
        WrongType(path, node, expected);
        return null;
    }

    private void WrongType(string path, ConfigNode node, string expected)
        => Report("SP2005", $"'{path}' has the wrong type", node.Position, expected, node.TypeName);

    private void Report(string code, string what, ConfigPosition position, string? expected = null, string? found = null, string? fix = null)
        => _problems.Add(Diagnostic.Error(code, what, ConfigParser.Where(_file, position), expected, found, fix));
}
