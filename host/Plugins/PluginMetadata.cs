using System.Reflection.Metadata;

namespace StoragePlugins.Host.Plugins;

/// <summary>Reads the few attributes that make a plugin out of an assembly's metadata. Loads nothing, runs nothing.</summary>
internal sealed class PluginMetadata(MetadataReader reader)
{
    private const string Namespace = "StoragePlugins";

    /// <summary>The assembly's attribute of this type, decoded; null when it has none.</summary>
    public CustomAttributeValue<string>? AssemblyAttribute(string fullName)
        => Find(reader.GetAssemblyDefinition().GetCustomAttributes(), fullName).Select(value => (CustomAttributeValue<string>?)value).FirstOrDefault();

    /// <summary>A fixed string argument of an attribute of the assembly.</summary>
    public string? AssemblyString(string attributeName)
        => AssemblyAttribute(attributeName) is { FixedArguments: [{ Value: string text }, ..] } ? text : null;

    /// <summary>Every pair of a class with <see cref="StrategyAttribute"/> and a contract that it is exported as; kind null when there is none.</summary>
    public IEnumerable<(StrategyKind? Kind, StrategyManifest Strategy)> Strategies()
    {
        foreach (TypeDefinitionHandle handle in reader.TypeDefinitions)
        {
            TypeDefinition type = reader.GetTypeDefinition(handle);
            CustomAttributeHandleCollection attributes = type.GetCustomAttributes();
            if (attributes.Count == 0) continue;
            foreach (CustomAttributeValue<string> strategy in Find(attributes, $"{Namespace}.{nameof(StrategyAttribute)}"))
            {
                string className = TypeNames.FullName(reader, handle);
                StrategyKind[] kinds = [.. ExportedKinds(attributes)];
                var manifest = new StrategyManifest(
                    default, strategy.FixedArguments is [{ Value: string id }, ..] ? id : "", className,
                    Named<string>(strategy, nameof(StrategyAttribute.Summary)) ?? "",
                    Named<string>(strategy, nameof(StrategyAttribute.Unsafe)),
                    Named<string>(strategy, nameof(StrategyAttribute.Options)) is { } options ? TypeNames.WithoutAssembly(options) : null);
                if (kinds.Length == 0) yield return (null, manifest);
                foreach (StrategyKind kind in kinds) yield return (kind, manifest with { Kind = kind });
            }
        }
    }

    /// <summary>A named argument of an attribute.</summary>
    public static T? Named<T>(CustomAttributeValue<string> attribute, string name) where T : class
        => attribute.NamedArguments.FirstOrDefault(argument => argument.Name == name).Value as T;

    private IEnumerable<StrategyKind> ExportedKinds(CustomAttributeHandleCollection attributes)
        => from export in Find(attributes, "System.Composition.ExportAttribute")
           from argument in export.FixedArguments
           where argument.Value is string && argument.Type == TypeNames.SystemType
           let kind = StrategyKinds.OfTypeName(TypeNames.WithoutAssembly((string)argument.Value!))
           where kind is not null
           select kind.Value;

    private IEnumerable<CustomAttributeValue<string>> Find(CustomAttributeHandleCollection attributes, string fullName)
    {
        foreach (CustomAttributeHandle handle in attributes)
        {
            CustomAttribute attribute = reader.GetCustomAttribute(handle);
            if (AttributeTypeName(attribute) == fullName) yield return attribute.DecodeValue(TypeNames.Instance);
        }
    }

    private string? AttributeTypeName(CustomAttribute attribute)
    {
        EntityHandle type = attribute.Constructor.Kind switch
        {
            HandleKind.MemberReference => reader.GetMemberReference((MemberReferenceHandle)attribute.Constructor).Parent,
            HandleKind.MethodDefinition => reader.GetMethodDefinition((MethodDefinitionHandle)attribute.Constructor).GetDeclaringType(),
            _ => default,
        };
        return type.Kind switch
        {
            HandleKind.TypeReference => TypeNames.FullName(reader, (TypeReferenceHandle)type),
            HandleKind.TypeDefinition => TypeNames.FullName(reader, (TypeDefinitionHandle)type),
            _ => null,
        };
    }

    /// <summary>Types as their full names: all that decoding these attributes needs.</summary>
    private sealed class TypeNames : ICustomAttributeTypeProvider<string>
    {
        public const string SystemType = "System.Type";

        public static TypeNames Instance { get; } = new();

        public static string FullName(MetadataReader reader, TypeReferenceHandle handle)
        {
            TypeReference type = reader.GetTypeReference(handle);
            return Join(reader.GetString(type.Namespace), reader.GetString(type.Name));
        }

        public static string FullName(MetadataReader reader, TypeDefinitionHandle handle)
        {
            TypeDefinition type = reader.GetTypeDefinition(handle);
            string name = reader.GetString(type.Name);
            return type.GetDeclaringType() is { IsNil: false } outer ? $"{FullName(reader, outer)}+{name}" : Join(reader.GetString(type.Namespace), name);
        }

        public static string WithoutAssembly(string serializedName) => serializedName.Split(',', 2)[0].Trim();

        public string GetPrimitiveType(PrimitiveTypeCode typeCode) => typeCode.ToString();

        public string GetSystemType() => SystemType;

        public string GetSZArrayType(string elementType) => elementType + "[]";

        public string GetTypeFromDefinition(MetadataReader reader, TypeDefinitionHandle handle, byte rawTypeKind) => FullName(reader, handle);

        public string GetTypeFromReference(MetadataReader reader, TypeReferenceHandle handle, byte rawTypeKind) => FullName(reader, handle);

        public string GetTypeFromSerializedName(string name) => name;

        public PrimitiveTypeCode GetUnderlyingEnumType(string type) => PrimitiveTypeCode.Int32;

        public bool IsSystemType(string type) => type == SystemType;

        private static string Join(string space, string name) => space.Length == 0 ? name : $"{space}.{name}";
    }
}
