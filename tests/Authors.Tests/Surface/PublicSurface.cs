using System.Reflection;
using System.Runtime.CompilerServices;

namespace StoragePlugins.Authors.Tests.Surface;

/// <summary>The public and protected members of an assembly, one a line, sorted: what a plugin can have been built against.</summary>
internal static class PublicSurface
{
    private const BindingFlags Declared = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    /// <summary>The lines of an assembly.</summary>
    public static IReadOnlyList<string> Of(Assembly assembly) =>
        [.. assembly.GetExportedTypes().SelectMany(type => Members(type).Prepend(TypeLine(type))).Distinct().Order(StringComparer.Ordinal)];

    private static string TypeLine(Type type)
    {
        string kind = type.IsInterface ? "interface" : type.IsEnum ? "enum" : type.IsValueType ? "struct" : type.IsAbstract && type.IsSealed ? "static class" : type.IsSealed ? "sealed class" : type.IsAbstract ? "abstract class" : "class";
        IEnumerable<Type> above = new[] { type.BaseType }.OfType<Type>().Where(parent => parent != typeof(object) && parent != typeof(ValueType) && parent != typeof(Enum))
            .Concat(type.IsEnum ? [Enum.GetUnderlyingType(type)] : type.GetInterfaces().Where(contract => contract.IsPublic).OrderBy(contract => contract.FullName, StringComparer.Ordinal));
        string parents = string.Join(", ", above.Select(TypeNames.Of));
        return $"{TypeNames.Of(type)}: {kind}{(parents.Length > 0 ? " : " + parents : "")}";
    }

    private static IEnumerable<string> Members(Type type)
    {
        string owner = TypeNames.Of(type);
        if (type.IsEnum) return type.GetFields(BindingFlags.Public | BindingFlags.Static).Select(field => $"{owner}.{field.Name} = {Convert.ToInt64(field.GetRawConstantValue())}");
        return
        [
            .. type.GetFields(Declared).Where(field => field.IsPublic || field.IsFamily || field.IsFamilyOrAssembly).Select(field => Field(owner, field)),
            .. type.GetConstructors(Declared).Where(IsOpen).Where(IsWritten).Select(constructor => $"{owner}.new({TypeNames.Parameters(constructor)})"),
            .. type.GetProperties(Declared).Where(property => property.GetAccessors(true).Any(IsOpen) && IsWritten(property)).Select(property => Property(owner, property)),
            .. type.GetMethods(Declared).Where(method => !method.IsSpecialName && IsOpen(method) && IsWritten(method)).Select(method => Method(owner, method)),
            .. type.GetEvents(Declared).Where(one => IsOpen(one.AddMethod!)).Select(one => $"{owner}.{one.Name}: event {TypeNames.Of(one.EventHandlerType!)}"),
        ];
    }

    // What the compiler adds to records follows from their constructor.
    private static bool IsWritten(MemberInfo member) => !member.Name.Contains('<') && member.Name != "EqualityContract" && member.GetCustomAttribute<CompilerGeneratedAttribute>() is null;

    private static bool IsOpen(MethodBase method) => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly;

    private static string Field(string owner, FieldInfo field)
    {
        string type = TypeNames.Of(field);
        return field.IsLiteral ? $"{owner}.{field.Name}: const {type} = {field.GetRawConstantValue()}" : $"{owner}.{field.Name}: {(field.IsStatic ? "static " : "")}{(field.IsInitOnly ? "readonly " : "")}{type}";
    }

    private static string Property(string owner, PropertyInfo property)
    {
        MethodInfo first = property.GetAccessors(true)[0];
        string accessors = string.Join(' ', property.GetAccessors(true).Where(IsOpen).Select(accessor => accessor.ReturnType != typeof(void) ? "get;"
            : accessor.ReturnParameter.GetRequiredCustomModifiers().Contains(typeof(IsExternalInit)) ? "init;" : "set;"));
        string required = property.GetCustomAttribute<RequiredMemberAttribute>() is null ? "" : "required ";
        return $"{owner}.{property.Name}: {Modifiers(first)}{required}{TypeNames.Of(property)} {{ {accessors} }}";
    }

    private static string Method(string owner, MethodInfo method) =>
        $"{owner}.{method.Name}{TypeNames.Arguments(method)}({TypeNames.Parameters(method)}): {Modifiers(method)}{TypeNames.Of(method.ReturnParameter)}{TypeNames.Constraints(method)}";

    // "default": an interface member that implementers may leave out, which is how the contracts grow.
    private static string Modifiers(MethodInfo method) =>
        (method.IsFamily ? "protected " : "") + (method.IsStatic ? "static " : "")
        + (method.DeclaringType!.IsInterface && !method.IsAbstract && !method.IsStatic ? "default " : "")
        + (!method.DeclaringType.IsInterface && method.IsAbstract ? "abstract " : "")
        + (!method.DeclaringType.IsInterface && method is { IsVirtual: true, IsAbstract: false, IsFinal: false } && method.GetBaseDefinition() == method ? "virtual " : "");
}
