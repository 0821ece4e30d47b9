using System.Composition;

namespace StoragePlugins;

/// <summary>
/// Names an exported strategy. Stands beside <c>[Export(typeof(…))]</c> on the class, and is read from the assembly's metadata before
/// any of its code runs.
/// </summary>
/// <param name="id">What configurations call it: 1–32 of <c>a–z 0–9 -</c>, starting with a letter; unique per kind in a host.</param>
[MetadataAttribute]
[AttributeUsage(AttributeTargets.Class)]
public sealed class StrategyAttribute(string id) : Attribute
{
    /// <summary>What configurations call it.</summary>
    public string Id { get; } = id;

    /// <summary>One sentence for <c>plugins list</c>.</summary>
    public string Summary { get; init; } = "";

    /// <summary>
    /// The options: a class with a parameterless constructor and settable properties of simple types (string, number, bool, enum,
    /// lists of these). Its defaults are the option's defaults; <c>[Description]</c> and the attributes of
    /// <c>System.ComponentModel.DataAnnotations</c> (<c>[Range]</c>, <c>[AllowedValues]</c>, …) become its schema.
    /// <see langword="null"/>: no options.
    /// </summary>
    public Type? Options { get; init; }

    /// <summary>Set when the strategy can lose acknowledged data by design. The host says so wherever it shows it.</summary>
    public string? Unsafe { get; init; }
}
