using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Schema;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace StoragePlugins.Host.Pipelines;

/// <summary>The JSON schema of an options class: names, types, defaults, ranges, choices, descriptions, as configurations write them.</summary>
internal static class OptionSchema
{
    private const string SizePattern = @"^[0-9]+(\.[0-9]+)?[bBkKmMgGtTpPeE]?$";
    private const string DurationPattern = @"^(0|[0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))$";

    private static readonly JsonSerializerOptions s_json = new(JsonSerializerOptions.Default)
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        TypeInfoResolver = new DefaultJsonTypeInfoResolver(),
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower, allowIntegerValues: false), new DurationConverter() },
        RespectNullableAnnotations = true,
    };

    /// <summary>Exports the schema.</summary>
    public static JsonObject Export(Type type, string owner)
    {
        object defaults = OptionBinder.CreateDefaults(type, owner);
        JsonNode schema = s_json.GetJsonSchemaAsNode(type, new JsonSchemaExporterOptions
        {
            TreatNullObliviousAsNonNullable = true,
            TransformSchemaNode = (context, node) => Describe(context, node, defaults),
        });
        return schema.AsObject();
    }

    private static JsonObject Describe(JsonSchemaExporterContext context, JsonNode node, object defaults)
    {
        JsonObject schema = node as JsonObject ?? []; // "true" for a type with a converter of its own
        Type type = Nullable.GetUnderlyingType(context.TypeInfo.Type) ?? context.TypeInfo.Type;
        if (OptionBinder.IsWhole(type))
        {
            schema["type"] = new JsonArray("integer", "string");
            schema["pattern"] = SizePattern;
        }
        else if (type == typeof(TimeSpan))
        {
            schema["type"] = "string";
            schema["pattern"] = DurationPattern;
        }

        if (context.PropertyInfo is not { } property || property.DeclaringType.IsInstanceOfType(defaults) is false) return schema;
        ICustomAttributeProvider? attributes = property.AttributeProvider;
        if (Attribute<DescriptionAttribute>(attributes) is { } description) schema.Insert(0, "description", description.Description);
        schema["default"] = JsonSerializer.SerializeToNode(property.Get?.Invoke(defaults), property.PropertyType, s_json);
        if (Attribute<RangeAttribute>(attributes) is { } range)
        {
            schema["minimum"] = Bound(range.Minimum, type);
            schema["maximum"] = Bound(range.Maximum, type);
        }

        if (Attribute<AllowedValuesAttribute>(attributes) is { } allowed)
            schema["enum"] = new JsonArray([.. allowed.Values.Select(value => JsonSerializer.SerializeToNode(value, value?.GetType() ?? typeof(object), s_json))]);
        return schema;
    }

    private static JsonNode? Bound(object value, Type type)
        => type == typeof(TimeSpan) ? Quantities.FormatDuration(TimeSpan.Parse((string)value, CultureInfo.InvariantCulture))
            : JsonSerializer.SerializeToNode(value, value.GetType(), s_json);

    private static T? Attribute<T>(ICustomAttributeProvider? provider) where T : Attribute
        => provider?.GetCustomAttributes(typeof(T), true).OfType<T>().FirstOrDefault();

    private sealed class DurationConverter : JsonConverter<TimeSpan>
    {
        public override TimeSpan Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
            => Quantities.TryParseDuration(reader.GetString() ?? "", out TimeSpan duration) ? duration : throw new JsonException();

        public override void Write(Utf8JsonWriter writer, TimeSpan value, JsonSerializerOptions options) => writer.WriteStringValue(Quantities.FormatDuration(value));
    }
}
