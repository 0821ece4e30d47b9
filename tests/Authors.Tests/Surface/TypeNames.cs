using System.Globalization;
using System.Reflection;

namespace StoragePlugins.Authors.Tests.Surface;

/// <summary>Types and parameters as C# writes them, nullability included.</summary>
internal static class TypeNames
{
    private static readonly Dictionary<Type, string> s_keywords = new()
    {
        [typeof(void)] = "void", [typeof(bool)] = "bool", [typeof(byte)] = "byte", [typeof(int)] = "int", [typeof(uint)] = "uint", [typeof(long)] = "long",
        [typeof(ulong)] = "ulong", [typeof(double)] = "double", [typeof(string)] = "string", [typeof(object)] = "object",
    };

    private static readonly NullabilityInfoContext s_nullability = new();

    /// <summary>Without the namespaces that everybody knows.</summary>
    public static string Of(Type type)
    {
        if (s_keywords.TryGetValue(type, out string? keyword)) return keyword;
        if (type.IsByRef) return "ref " + Of(type.GetElementType()!);
        if (type.IsArray) return Of(type.GetElementType()!) + "[]";
        if (type.IsGenericParameter) return type.Name;
        if (Nullable.GetUnderlyingType(type) is { } value) return Of(value) + "?";
        string name = type.IsNested ? $"{Of(type.DeclaringType!)}.{type.Name}" : type.Namespace is "StoragePlugins" or "System" or "System.Collections.Generic" ? type.Name : $"{type.Namespace}.{type.Name}";
        return type.IsGenericType ? $"{name.Split('`')[0]}<{string.Join(", ", type.GetGenericArguments().Select(Of))}>" : name;
    }

    /// <summary>A property's type.</summary>
    public static string Of(PropertyInfo property) => WithNullability(property.PropertyType, s_nullability.Create(property));

    /// <summary>A field's type.</summary>
    public static string Of(FieldInfo field) => WithNullability(field.FieldType, s_nullability.Create(field));

    /// <summary>A parameter's or result's type.</summary>
    public static string Of(ParameterInfo parameter) => WithNullability(parameter.ParameterType, s_nullability.Create(parameter));

    /// <summary>All parameters, with their names and defaults: callers may use both.</summary>
    public static string Parameters(MethodBase method) => string.Join(", ", method.GetParameters().Select(parameter =>
        $"{(parameter.IsDefined(typeof(ParamArrayAttribute), false) ? "params " : parameter.IsIn ? "in " : parameter.IsOut ? "out " : "")}{Of(parameter)} {parameter.Name}{Default(parameter)}"));

    /// <summary>Generic parameters.</summary>
    public static string Arguments(MethodInfo method) => method.IsGenericMethod ? $"<{string.Join(", ", method.GetGenericArguments().Select(Of))}>" : "";

    /// <summary>What they must be.</summary>
    public static string Constraints(MethodInfo method) => method.IsGenericMethod
        ? string.Concat(method.GetGenericArguments().Where(type => type.GenericParameterAttributes != GenericParameterAttributes.None || type.GetGenericParameterConstraints().Length > 0)
            .Select(type => $" where {type.Name} : {string.Join(", ", Conditions(type))}"))
        : "";

    private static IEnumerable<string> Conditions(Type type)
    {
        if (type.GenericParameterAttributes.HasFlag(GenericParameterAttributes.ReferenceTypeConstraint)) yield return "class";
        foreach (Type constraint in type.GetGenericParameterConstraints()) yield return Of(constraint);
        if (type.GenericParameterAttributes.HasFlag(GenericParameterAttributes.DefaultConstructorConstraint)) yield return "new()";
    }

    private static string WithNullability(Type type, NullabilityInfo nullability)
    {
        if (type.IsByRef) return Of(type.GetElementType()!);
        string arguments = type.IsGenericType && nullability.GenericTypeArguments.Length > 0 && Nullable.GetUnderlyingType(type) is null
            ? $"{Of(type).Split('<')[0]}<{string.Join(", ", nullability.GenericTypeArguments.Select(argument => WithNullability(argument.Type, argument)))}>"
            : nullability.ElementType is { } element && type.IsArray ? WithNullability(element.Type, element) + "[]" : Of(type);
        bool isNullable = !type.IsValueType && (nullability.ReadState == NullabilityState.Nullable || nullability.WriteState == NullabilityState.Nullable);
        return isNullable ? arguments + "?" : arguments;
    }

    private static string Default(ParameterInfo parameter) => !parameter.HasDefaultValue ? ""
        : parameter.RawDefaultValue is null ? " = null"
        : parameter.ParameterType.IsEnum ? $" = {Enum.ToObject(parameter.ParameterType, parameter.RawDefaultValue)}"
        : string.Create(CultureInfo.InvariantCulture, $" = {parameter.RawDefaultValue}");
}
