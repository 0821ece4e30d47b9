using System.Diagnostics;
using System.Reflection;
using System.Runtime.Loader;

namespace StoragePlugins.Host.Plugins;

/// <summary>Says whose code an exception came from.</summary>
internal static class PluginBlame
{
    /// <summary>The plugin whose code threw, and where: "plugin Toy 1.0.0, Toy.Order.Flush". Where none did: the exception's own place.</summary>
    public static string Of(Exception exception)
    {
        for (Exception? at = exception; at is not null; at = at.InnerException)
        {
            foreach (StackFrame frame in new StackTrace(at).GetFrames())
            {
                if (frame.GetMethod() is { DeclaringType: { } type } method && PluginOf(type.Assembly) is { } plugin) return $"{plugin}, {type.FullName}.{method.Name}";
            }
        }

        return $"no plugin, {exception.TargetSite?.DeclaringType?.FullName}.{exception.TargetSite?.Name}";
    }

    /// <summary>"plugin Toy 1.0.0" for a plugin's assembly; null for others.</summary>
    public static string? PluginOf(Assembly assembly)
    {
        if (AssemblyLoadContext.GetLoadContext(assembly) is not { Name: { } name } || !name.StartsWith("plugin ", StringComparison.Ordinal)) return null;
        string? version = assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0];
        return version is null ? name : $"{name} {version}";
    }
}
