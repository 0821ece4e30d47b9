namespace StoragePlugins.Host.Pipelines;

/// <summary>A value of a configuration file and where it stands.</summary>
/// <param name="Position">Line and column, from 1; (0, 0) for values that come from a command line.</param>
internal abstract record ConfigNode(ConfigPosition Position)
{
    /// <summary>What messages call its type.</summary>
    public abstract string TypeName { get; }
}

/// <summary>A place in a file.</summary>
/// <param name="Line">From 1.</param>
/// <param name="Column">From 1, in bytes.</param>
internal readonly record struct ConfigPosition(int Line, int Column);

/// <summary>An object; its keys are unique.</summary>
internal sealed record ConfigObject(ConfigPosition Position, IReadOnlyList<ConfigMember> Members) : ConfigNode(Position)
{
    /// <inheritdoc/>
    public override string TypeName => "an object";

    /// <summary>The value of a key; null when it is not there.</summary>
    public ConfigNode? this[string key] => Members.FirstOrDefault(member => member.Name == key)?.Value;
}

/// <summary>A key and its value.</summary>
internal sealed record ConfigMember(string Name, ConfigPosition Position, ConfigNode Value);

/// <summary>An array.</summary>
internal sealed record ConfigArray(ConfigPosition Position, IReadOnlyList<ConfigNode> Items) : ConfigNode(Position)
{
    /// <inheritdoc/>
    public override string TypeName => "an array";
}

/// <summary>A string, number, boolean, null, or untyped text of a command line.</summary>
/// <param name="Position">Where it stands.</param>
/// <param name="Kind">Its JSON type.</param>
/// <param name="Text">Its value; numbers as written, booleans as <c>true</c> and <c>false</c>.</param>
internal sealed record ConfigScalar(ConfigPosition Position, ConfigScalarKind Kind, string Text) : ConfigNode(Position)
{
    /// <inheritdoc/>
    public override string TypeName => Kind switch
    {
        ConfigScalarKind.String or ConfigScalarKind.CommandLine => $"the string \"{Text}\"",
        ConfigScalarKind.Number => $"the number {Text}",
        ConfigScalarKind.Boolean => Text,
        _ => "null",
    };
}

/// <summary>Types of <see cref="ConfigScalar"/>.</summary>
internal enum ConfigScalarKind
{
    /// <summary>A JSON string.</summary>
    String = 0,

    /// <summary>A JSON number.</summary>
    Number,

    /// <summary>true or false.</summary>
    Boolean,

    /// <summary>null.</summary>
    Null,

    /// <summary>Text of a <c>key=value</c> option: any type.</summary>
    CommandLine,
}
