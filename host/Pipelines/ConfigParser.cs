using System.Globalization;
using System.Text;
using System.Text.Json;
using StoragePlugins.Host.Diagnostics;

namespace StoragePlugins.Host.Pipelines;

/// <summary>
/// Reads JSON, with comments and trailing commas, into nodes that know their line and column.
/// </summary>
/// <remarks>The configuration provider for JSON merges keys that differ in case, keeps no positions and stops at the first error.</remarks>
internal sealed class ConfigParser
{
    /// <summary>A configuration is written by people; 1 MiB is some ten thousand pipelines.</summary>
    public const int MaxBytes = 1 << 20;

    private const int MaxDepth = 16; // the schema needs 5

    private readonly string _file;
    private readonly byte[] _text;
    private readonly List<Diagnostic> _problems;
    private readonly List<int> _lineStarts = [0];

    private ConfigParser(string file, byte[] text, List<Diagnostic> problems)
    {
        _file = file;
        _text = text;
        _problems = problems;
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '\n') _lineStarts.Add(i + 1);
        }
    }

    /// <summary>Reads a file. Duplicate keys go to <paramref name="problems"/>, the first of them wins.</summary>
    /// <exception cref="DiagnosticException">SP2001: it cannot be read. SP2002: it is not JSON.</exception>
    public static ConfigNode ReadFile(string file, List<Diagnostic> problems)
    {
        try
        {
            long length = new FileInfo(file).Length;
            if (length > MaxBytes)
            {
                throw new DiagnosticException("SP2001", "the configuration is too large", file, string.Create(CultureInfo.InvariantCulture, $"at most {MaxBytes} bytes"),
                    string.Create(CultureInfo.InvariantCulture, $"{length}"), "split it");
            }

            byte[] text = File.ReadAllBytes(file);
            return Parse(file, text.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? text[Encoding.UTF8.Preamble.Length..] : text, problems);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DiagnosticException("SP2001", $"the configuration cannot be read: {exception.Message.TrimEnd('.')}", file, fix: "check path and permissions", inner: exception);
        }
    }

    /// <summary>Reads a text.</summary>
    public static ConfigNode Parse(string file, byte[] text, List<Diagnostic> problems) => new ConfigParser(file, text, problems).ParseRoot();

    private ConfigNode ParseRoot()
    {
        var reader = new Utf8JsonReader(_text, new JsonReaderOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, MaxDepth = MaxDepth });
        try
        {
            reader.Read();
            ConfigNode root = ParseValue(ref reader, "");
            reader.Read(); // anything after the root is an error of its own
            return root;
        }
        catch (JsonException exception)
        {
            // The exception's text ends with its own zero-based position.
            string reason = exception.Message.Split(" LineNumber:")[0].Split(" Path:")[0].TrimEnd('.');
            string where = $"{_file}:{(exception.LineNumber ?? 0) + 1}:{(exception.BytePositionInLine ?? 0) + 1}";
            throw new DiagnosticException("SP2002", $"it is not valid JSON: {reason}", where, fix: "mend the syntax there", inner: exception);
        }
    }

    private ConfigNode ParseValue(ref Utf8JsonReader reader, string path)
    {
        ConfigPosition position = Position(reader.TokenStartIndex);
        switch (reader.TokenType)
        {
            case JsonTokenType.StartObject:
                return ParseObject(ref reader, position, path);
            case JsonTokenType.StartArray:
                var items = new List<ConfigNode>();
                while (reader.Read() && reader.TokenType != JsonTokenType.EndArray) items.Add(ParseValue(ref reader, $"{path}[{items.Count}]"));
                return new ConfigArray(position, items);
            case JsonTokenType.String:
                return new ConfigScalar(position, ConfigScalarKind.String, reader.GetString()!);
            case JsonTokenType.Number:
                return new ConfigScalar(position, ConfigScalarKind.Number, Encoding.UTF8.GetString(reader.ValueSpan));
            case JsonTokenType.True or JsonTokenType.False:
                return new ConfigScalar(position, ConfigScalarKind.Boolean, reader.TokenType == JsonTokenType.True ? "true" : "false");
            default:
                return new ConfigScalar(position, ConfigScalarKind.Null, "null");
        }
    }

    private ConfigObject ParseObject(ref Utf8JsonReader reader, ConfigPosition position, string path)
    {
        var members = new List<ConfigMember>();
        var names = new Dictionary<string, ConfigPosition>(StringComparer.Ordinal);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            ConfigPosition namePosition = Position(reader.TokenStartIndex);
            string keyPath = path.Length == 0 ? name : $"{path}.{name}";
            reader.Read();
            ConfigNode value = ParseValue(ref reader, keyPath);
            if (names.TryAdd(name, namePosition))
            {
                members.Add(new ConfigMember(name, namePosition, value));
                continue;
            }

            _problems.Add(Diagnostic.Error(
                "SP2003", $"the key '{keyPath}' is there twice", Where(_file, namePosition), fix: $"keep one (the other is in line {names[name].Line})"));
        }

        return new ConfigObject(position, members);
    }

    /// <summary>"file:line:column".</summary>
    public static string Where(string file, ConfigPosition position)
        => position.Line == 0 ? file : string.Create(CultureInfo.InvariantCulture, $"{file}:{position.Line}:{position.Column}");

    private ConfigPosition Position(long index)
    {
        int line = _lineStarts.BinarySearch((int)index);
        if (line < 0) line = ~line - 1;
        return new ConfigPosition(line + 1, (int)index - _lineStarts[line] + 1);
    }
}
