using System.Collections;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using System.Text.Json;
using Microsoft.Extensions.Configuration;
using StoragePlugins.Host.Diagnostics;

namespace StoragePlugins.Host.Pipelines;

/// <summary>
/// Makes a strategy's options object from what was written: names in camelCase, sizes ("64K") for whole numbers, durations ("2ms") for
/// <see cref="TimeSpan"/>, kebab-case names for enums; then the binder, then the class's own validation attributes.
/// </summary>
internal static class OptionBinder
{
    /// <summary>Between the elements of a list on a command line; the comma already separates options.</summary>
    private const char CommandLineListSeparator = '|';

    /// <summary>Binds; every problem is reported.</summary>
    /// <param name="type">The options class; null when the strategy has no options.</param>
    /// <param name="settings">As written.</param>
    /// <param name="owner">"format 'qcow2'", for messages.</param>
    /// <param name="problems">Receives what is wrong.</param>
    /// <returns>The options; null without a class. Not to be used when problems were added.</returns>
    public static object? Bind(Type? type, IReadOnlyList<OptionSetting> settings, string owner, List<Diagnostic> problems)
    {
        if (type is null)
        {
            problems.AddRange(settings.Select(setting => Diagnostic.Error(
                "SP2004", $"the option '{setting.KeyPath}' is not known: {owner} has no options", setting.Where, fix: "remove it")));
            return null;
        }

        int before = problems.Count;
        object options = CreateDefaults(type, owner);
        PropertyInfo[] properties = [.. OptionProperties(type)];
        var values = new Dictionary<string, string?>(StringComparer.Ordinal);
        foreach (OptionSetting setting in settings) Collect(setting, properties, options, owner, values, problems);
        if (problems.Count > before) return options;
        try
        {
            new ConfigurationBuilder().AddInMemoryCollection(values).Build().Bind(options, binder => binder.ErrorOnUnknownConfiguration = true);
        }
        catch (InvalidOperationException exception)
        {
            // What the checks above let through and the binder does not take: a property without a public setter, an element type of its own.
            throw new DiagnosticException("SP1021", $"the options of {owner} cannot be bound: {exception.Message.TrimEnd('.')}", type.FullName, fix: "ask the plugin's author", inner: exception);
        }

        Validate(options, properties, settings, owner, problems);
        return options;
    }

    /// <summary>The properties that are options.</summary>
    public static IEnumerable<PropertyInfo> OptionProperties(Type type)
        => type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(property => property.SetMethod is { IsPublic: true } && property.GetIndexParameters().Length == 0);

    /// <summary>What configurations call a property.</summary>
    public static string OptionName(PropertyInfo property) => JsonNamingPolicy.CamelCase.ConvertName(property.Name);

    /// <summary>What configurations call an enum's value.</summary>
    public static string EnumName(string member) => JsonNamingPolicy.KebabCaseLower.ConvertName(member);

    /// <summary>An options object with its defaults.</summary>
    /// <exception cref="DiagnosticException">SP1021: it cannot be constructed.</exception>
    public static object CreateDefaults(Type type, string owner)
    {
        try
        {
            return Activator.CreateInstance(type)!;
        }
        catch (Exception exception)
        {
            throw new DiagnosticException(
                "SP1021", $"the options class of {owner} cannot be constructed: {(exception.InnerException ?? exception).Message.TrimEnd('.')}", type.FullName,
                "a public class with a parameterless constructor", fix: "ask the plugin's author", inner: exception);
        }
    }

    /// <summary>The element type of a list option; null for other types.</summary>
    public static Type? ElementType(Type type)
        => type == typeof(string) ? null
            : type.IsArray ? type.GetElementType()
            : type.IsGenericType && typeof(IEnumerable).IsAssignableFrom(type) && type.GetGenericArguments() is [{ } element] ? element
            : null;

    private static void Collect(
        OptionSetting setting, PropertyInfo[] properties, object options, string owner, Dictionary<string, string?> values, List<Diagnostic> problems)
    {
        PropertyInfo? property = properties.FirstOrDefault(candidate => OptionName(candidate) == setting.Name);
        if (property is null)
        {
            problems.Add(Diagnostic.Error(
                "SP2004", $"the option '{setting.KeyPath}' is not known to {owner}", setting.Where, fix: Spelling.Suggest(setting.Name, [.. properties.Select(OptionName)])));
            return;
        }

        if (ElementType(property.PropertyType) is not { } element)
        {
            values[property.Name] = Convert(setting, setting.Value, property.PropertyType, problems);
            return;
        }

        IReadOnlyList<ConfigNode>? items = setting.Value switch
        {
            ConfigArray array => array.Items,
            ConfigScalar { Kind: ConfigScalarKind.CommandLine } text => [.. text.Text.Split(CommandLineListSeparator).Select(part => text with { Text = part })],
            _ => null,
        };
        if (items is null)
        {
            problems.Add(WrongType(setting, setting.Value, "an array"));
            return;
        }

        // The binder appends to a list that has defaults; what is written replaces them.
        property.SetValue(options, property.PropertyType.IsInterface || property.PropertyType.IsArray
            ? Array.CreateInstance(element, 0) : Activator.CreateInstance(property.PropertyType));
        for (int i = 0; i < items.Count; i++)
            values[string.Create(CultureInfo.InvariantCulture, $"{property.Name}:{i}")] = Convert(setting with { KeyPath = $"{setting.KeyPath}[{i}]" }, items[i], element, problems);
    }

    /// <summary>The value as the binder's converters read it.</summary>
    private static string? Convert(OptionSetting setting, ConfigNode node, Type declared, List<Diagnostic> problems)
    {
        Type type = Nullable.GetUnderlyingType(declared) ?? declared;
        if (node is not ConfigScalar scalar || scalar.Kind == ConfigScalarKind.Null)
        {
            problems.Add(WrongType(setting, node, Describe(type)));
            return null;
        }

        bool anyType = scalar.Kind == ConfigScalarKind.CommandLine;
        bool isText = anyType || scalar.Kind == ConfigScalarKind.String;
        bool isNumber = anyType || scalar.Kind == ConfigScalarKind.Number;
        if (type == typeof(string) && isText) return scalar.Text;
        if (type == typeof(bool) && (anyType ? scalar.Text is "true" or "false" or "on" or "off" : scalar.Kind == ConfigScalarKind.Boolean))
            return scalar.Text is "true" or "on" ? "true" : "false";
        if (type == typeof(TimeSpan) && isText)
        {
            if (Quantities.TryParseDuration(scalar.Text, out TimeSpan duration)) return duration.ToString("c", CultureInfo.InvariantCulture);
        }
        else if (type.IsEnum && isText)
        {
            if (Enum.GetNames(type).FirstOrDefault(name => EnumName(name) == scalar.Text) is { } member) return member;
        }
        else if (IsWhole(type) && (isText || isNumber))
        {
            // Suffixes are for sizes, which have no sign; plain numbers may have one.
            string? text = Quantities.TryParseSize(scalar.Text, out long size) ? size.ToString(CultureInfo.InvariantCulture)
                : long.TryParse(scalar.Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long signed) ? signed.ToString(CultureInfo.InvariantCulture)
                : null;
            if (text is not null && Fits(text, type)) return text;
        }
        else if (IsFraction(type) && isNumber)
        {
            if (double.TryParse(scalar.Text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && double.IsFinite(number)) return scalar.Text;
        }
        else
        {
            problems.Add(WrongType(setting, node, Describe(type)));
            return null;
        }

        problems.Add(Diagnostic.Error("SP2006", $"'{setting.KeyPath}' has a value that it cannot have", setting.Where, Describe(type), scalar.TypeName));
        return null;
    }

    private static Diagnostic WrongType(OptionSetting setting, ConfigNode node, string expected)
        => Diagnostic.Error("SP2005", $"'{setting.KeyPath}' has the wrong type", setting.Where, expected, node.TypeName);

    /// <summary>What a value of this type looks like, for messages.</summary>
    internal static string Describe(Type type)
        => type == typeof(string) ? "a string"
            : type == typeof(bool) ? "true or false"
            : type == typeof(TimeSpan) ? "a duration such as \"2ms\""
            : type.IsEnum ? "one of " + string.Join(", ", Enum.GetNames(type).Select(EnumName))
            : IsWhole(type) ? $"a whole number from {type.GetField("MinValue")!.GetValue(null)} to {type.GetField("MaxValue")!.GetValue(null)}, or a size such as \"64K\""
            : IsFraction(type) ? "a number"
            : $"a value of type {type.Name}";

    /// <summary>Whole numbers, which take size suffixes.</summary>
    internal static bool IsWhole(Type type)
        => type == typeof(long) || type == typeof(int) || type == typeof(uint) || type == typeof(ulong) || type == typeof(short) || type == typeof(ushort) || type == typeof(byte);

    private static bool IsFraction(Type type) => type == typeof(double) || type == typeof(float) || type == typeof(decimal);

    private static bool Fits(string text, Type type)
    {
        try
        {
            _ = System.Convert.ChangeType(decimal.Parse(text, CultureInfo.InvariantCulture), type, CultureInfo.InvariantCulture);
            return true;
        }
        catch (OverflowException)
        {
            return false;
        }
    }

    private static void Validate(object options, PropertyInfo[] properties, IReadOnlyList<OptionSetting> settings, string owner, List<Diagnostic> problems)
    {
        foreach (PropertyInfo property in properties)
        {
            object? value = property.GetValue(options);
            foreach (string message in Violations(options, property, value))
            {
                OptionSetting? setting = settings.FirstOrDefault(candidate => candidate.Name == OptionName(property));
                string key = setting?.KeyPath ?? $"{owner}, option {OptionName(property)}";
                string? found = value is null or IEnumerable ? null : string.Create(CultureInfo.InvariantCulture, $"{value}");
                problems.Add(Diagnostic.Error("SP2006", $"'{key}' is out of range: {message.TrimEnd('.')}", setting?.Where, found: found));
            }
        }

        if (options is not IValidatableObject whole) return;
        string? where = settings.Count > 0 ? settings[0].Where : null;
        problems.AddRange(whole.Validate(new ValidationContext(options)).Where(result => result != ValidationResult.Success).Select(
            result => Diagnostic.Error("SP2006", $"the options of {owner} do not fit together: {(result.ErrorMessage ?? "not valid").TrimEnd('.')}", where)));
    }

    private static IEnumerable<string> Violations(object options, PropertyInfo property, object? value)
    {
        foreach (ValidationAttribute rule in property.GetCustomAttributes<ValidationAttribute>(inherit: true))
        {
            string name = OptionName(property);
            string? message;
            try
            {
                message = rule.GetValidationResult(value, new ValidationContext(options) { MemberName = property.Name, DisplayName = name })?.ErrorMessage;
            }
            catch (OverflowException)
            {
                // [Range(int, int)] on a long converts the value to an int first.
                message = rule.FormatErrorMessage(name);
            }

            if (message is not null) yield return message;
        }
    }
}
