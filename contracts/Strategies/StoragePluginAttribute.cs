namespace StoragePlugins;

/// <summary>Marks an assembly as a storage plugin. Read from metadata before any code runs.</summary>
/// <param name="name">The plugin's name, for people: normally its folder's.</param>
/// <remarks>The version is the assembly's informational version; what it was built against is its reference to the contracts.</remarks>
[AttributeUsage(AttributeTargets.Assembly)]
public sealed class StoragePluginAttribute(string name) : Attribute
{
    /// <summary>The plugin's name.</summary>
    public string Name { get; } = name;

    /// <summary>One sentence for <c>plugins list</c>.</summary>
    public string Description { get; init; } = "";
}
