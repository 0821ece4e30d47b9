using System.Text.Json;
using System.Text.Json.Serialization;

namespace StoragePlugins.Host.Evaluation.Results;

/// <summary>The record as JSON: camelCase names, kebab-case enums; what was written is read back equal.</summary>
internal static class EvaluationReportJson
{
    // The default encoder escapes <, > and &: the text may stand in HTML. A rate of a round that took no time is "Infinity".
    private static readonly JsonSerializerOptions s_options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower, allowIntegerValues: false) },
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
    };

    /// <summary>Writes it, in one line.</summary>
    public static string Write(EvaluationReport report) => JsonSerializer.Serialize(report, s_options);

    /// <summary>Reads what <see cref="Write"/> wrote, or <c>sphost evaluate --json</c>.</summary>
    /// <exception cref="JsonException">It is something else, or of a later form.</exception>
    public static EvaluationReport Read(string text)
    {
        EvaluationReport report = JsonSerializer.Deserialize<EvaluationReport>(text, s_options) ?? throw new JsonException("it is null");
        return report.FormatVersion == CurrentVersion ? report : throw new JsonException($"its formatVersion is {report.FormatVersion}, not {CurrentVersion}");
    }

    /// <summary>The form that this version knows.</summary>
    private const int CurrentVersion = 1;
}
