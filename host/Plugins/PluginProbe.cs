using System.Globalization;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Runtime.Versioning;
using System.Security.Cryptography;
using StoragePlugins.Host.Diagnostics;

namespace StoragePlugins.Host.Plugins;

/// <summary>Says whether an assembly would work as a plugin here, from its metadata alone: no code of it runs, nothing is loaded.</summary>
internal static class PluginProbe
{
    private const string PluginAttributeName = "StoragePlugins." + nameof(StoragePluginAttribute);

    /// <summary>An assembly larger than this is no plugin; hashing and reading stay bounded.</summary>
    public const long MaxAssemblyBytes = 256L << 20;

    /// <summary>Looks at one file.</summary>
    /// <param name="path">Absolute path of a DLL.</param>
    /// <returns>Its manifest, as far as it can be read, and the findings; usable when none of them is an error.</returns>
    public static PluginProbeResult Examine(string path)
    {
        var findings = new List<Diagnostic>();
        PluginManifest? manifest = null;
        try
        {
            using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            if (Refuse(stream, path) is { } refusal)
            {
                findings.Add(refusal);
                return new PluginProbeResult(path, null, findings);
            }

            using var image = new PEReader(stream, PEStreamOptions.LeaveOpen);
            if (!image.HasMetadata)
                findings.Add(NotAnAssembly(path, "a native Windows library"));
            else if (IsCut(image, stream.Length))
                findings.Add(Truncated(path, stream.Length));
            else
                manifest = Read(path, stream, image.GetMetadataReader(), findings);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            findings.Add(Diagnostic.Error("SP1004", $"the file cannot be read: {exception.Message.TrimEnd('.')}", path, fix: "make it readable and start again"));
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            // On damaged metadata the reader throws BadImageFormat, Overflow, ArgumentOutOfRange and others, undocumented.
            findings.Add(Truncated(path, new FileInfo(path).Length));
        }

        return new PluginProbeResult(path, manifest, findings);
    }

    /// <summary>Whether a file is an assembly with <see cref="StoragePluginAttribute"/>; false also for what cannot be read.</summary>
    public static bool CarriesPluginAttribute(string path) => Examine(path).Manifest is { Name.Length: > 0 };

    private static Diagnostic? Refuse(FileStream stream, string path)
    {
        if (stream.Length == 0) return Truncated(path, 0);
        if (stream.Length > MaxAssemblyBytes)
            return NotAnAssembly(path, string.Create(CultureInfo.InvariantCulture, $"a file of {stream.Length} bytes"));
        Span<byte> magic = stackalloc byte[4];
        int read = stream.ReadAtLeast(magic, magic.Length, throwOnEndOfStream: false);
        stream.Position = 0;
        if (read >= 2 && magic[..2].SequenceEqual("MZ"u8)) return null;
        return NotAnAssembly(path, magic.SequenceEqual("\x7f"u8 + "ELF"u8) ? "a native ELF library" : "a file that is no executable image");
    }

    private static bool IsCut(PEReader image, long length)
        => image.PEHeaders.SectionHeaders.Any(section => (long)section.PointerToRawData + section.SizeOfRawData > length);

    private static Diagnostic NotAnAssembly(string path, string found) => Diagnostic.Error(
        "SP1002", "it is not a .NET assembly; it is not loaded", path, "a .NET assembly", found, "native libraries belong beside a plugin's own assembly, not in its place");

    private static Diagnostic Truncated(string path, long length) => Diagnostic.Error(
        "SP1003", "the assembly is truncated or damaged; it is not loaded", path,
        found: string.Create(CultureInfo.InvariantCulture, $"{length} bytes that end too early or make no sense"), fix: "copy it again");

    private static PluginManifest Read(string path, FileStream stream, MetadataReader reader, List<Diagnostic> findings)
    {
        var metadata = new PluginMetadata(reader);
        CustomAttributeValue<string>? attribute = metadata.AssemblyAttribute(PluginAttributeName);
        PluginReference[] references = [.. References(reader, Path.GetDirectoryName(path)!)];
        stream.Position = 0;
        var manifest = new PluginManifest
        {
            Name = attribute is { FixedArguments: [{ Value: string name }, ..] } ? name : "",
            Description = attribute is { } value ? PluginMetadata.Named<string>(value, nameof(StoragePluginAttribute.Description)) ?? "" : "",
            Version = (metadata.AssemblyString("System.Reflection.AssemblyInformationalVersionAttribute")
                ?? reader.GetAssemblyDefinition().Version.ToString()).Split('+', 2)[0],
            MainAssembly = path,
            TargetFramework = metadata.AssemblyString("System.Runtime.Versioning.TargetFrameworkAttribute") ?? "",
            ContractsVersion = references.FirstOrDefault(reference => reference.Name == SharedAssemblies.Contracts)?.Version,
            Strategies = [],
            References = references,
            Sha256 = Convert.ToHexStringLower(SHA256.HashData(stream)),
        };
        if (attribute is null || manifest.Name.Length == 0)
        {
            findings.Add(Diagnostic.Error(
                "SP1006", "it is a .NET assembly but no plugin; it is not loaded", path, "[assembly: StoragePlugin(\"…\")]", "no such attribute",
                "add the attribute, or keep the file out of the plugin folder"));
            return manifest;
        }

        manifest = manifest with { Strategies = Strategies(path, metadata, findings) };
        CheckContracts(manifest, findings);
        CheckFramework(manifest, findings);
        CheckReferences(manifest, findings);
        return manifest;
    }

    private static IEnumerable<PluginReference> References(MetadataReader reader, string folder)
        => from handle in reader.AssemblyReferences
           let reference = reader.GetAssemblyReference(handle)
           let name = reader.GetString(reference.Name)
           orderby name
           select new PluginReference(name, reference.Version, Origin(name, folder));

    private static ReferenceOrigin Origin(string name, string folder)
        => SharedAssemblies.Names.Contains(name) ? ReferenceOrigin.Shared
            : File.Exists(Path.Combine(folder, name + ".dll")) ? ReferenceOrigin.Private
            : RuntimeAssemblies.Contains(name) ? ReferenceOrigin.Framework
            : ReferenceOrigin.Missing;

    private static List<StrategyManifest> Strategies(string path, PluginMetadata metadata, List<Diagnostic> findings)
    {
        var strategies = new List<StrategyManifest>();
        int errors = findings.Count;
        foreach ((StrategyKind? kind, StrategyManifest strategy) in metadata.Strategies())
        {
            if (!IsStrategyId(strategy.Id))
            {
                findings.Add(Diagnostic.Error(
                    "SP1012", $"class {strategy.ClassName} has a malformed strategy id; the plugin is not loaded", path,
                    "1 to 32 of a-z 0-9 -, starting with a letter", $"'{strategy.Id}'", "rename the id in its [Strategy] attribute"));
            }
            else if (kind is null)
            {
                findings.Add(Diagnostic.Error(
                    "SP1013", $"class {strategy.ClassName} has [Strategy(\"{strategy.Id}\")] but no export; the plugin is not loaded", path,
                    "[Export(typeof(…))] of " + string.Join(", ", StrategyKinds.All.Select(each => each.Contract().Name)), fix: "add the export"));
            }
            else if (strategies.FirstOrDefault(other => other.Kind == kind && other.Id == strategy.Id) is { } other)
            {
                findings.Add(Diagnostic.Error(
                    "SP1014", $"classes {other.ClassName} and {strategy.ClassName} share the {kind.Value.Label()} id '{strategy.Id}'; the plugin is not loaded",
                    path, fix: "rename one of them"));
            }
            else
            {
                strategies.Add(strategy);
            }
        }

        if (strategies.Count == 0 && findings.Count == errors)
        {
            findings.Add(Diagnostic.Error(
                "SP1020", "the plugin exports no strategy; it is not loaded", path, "a public class with [Export(typeof(…))] and [Strategy(\"…\")]", "none",
                "add the attributes"));
        }

        return strategies;
    }

    /// <summary>1–32 of a–z 0–9 -, starting with a letter.</summary>
    internal static bool IsStrategyId(string id)
        => id.Length is >= 1 and <= 32 && id[0] is >= 'a' and <= 'z' && id.All(c => c is >= 'a' and <= 'z' or >= '0' and <= '9' or '-');

    private static void CheckContracts(PluginManifest plugin, List<Diagnostic> findings)
    {
        Version host = SharedAssemblies.HostContractsVersion;
        if (plugin.ContractsVersion is not { } built || (built.Major == host.Major && built.Minor <= host.Minor)) return;
        string what = $"plugin {plugin.Name} {plugin.Version} was built for other contracts than this sphost has; it is not loaded";
        string found = $"built against {SharedAssemblies.Contracts} {built.Major}.{built.Minor}";
        findings.Add(built.Major != host.Major
            ? Diagnostic.Error("SP1007", what, plugin.MainAssembly, $"{host.Major}.x up to {host.Major}.{host.Minor}", found,
                built.Major > host.Major ? "update sphost, or take an older build of the plugin" : "take a newer build of the plugin")
            : Diagnostic.Error("SP1008", what, plugin.MainAssembly, $"{host.Major}.{host.Minor} or a lower minor", found,
                "update sphost, or build the plugin against the lowest contracts that it needs"));
    }

    private static void CheckFramework(PluginManifest plugin, List<Diagnostic> findings)
    {
        if (plugin.TargetFramework.Length == 0) return;
        string found = plugin.TargetFramework;
        try
        {
            var framework = new FrameworkName(plugin.TargetFramework);
            bool known = framework.Identifier is ".NETCoreApp" or ".NETStandard";
            if (known && (framework.Identifier == ".NETStandard" || framework.Version <= new Version(Environment.Version.Major, Environment.Version.Minor))) return;
        }
        catch (ArgumentException)
        {
            found = $"an unreadable target framework '{plugin.TargetFramework}'";
        }

        findings.Add(Diagnostic.Error(
            "SP1005", $"plugin {plugin.Name} {plugin.Version} was built for a newer or other .NET; it is not loaded", plugin.MainAssembly,
            $".NET {Environment.Version.Major}.{Environment.Version.Minor} or older", found, "install that runtime for sphost, or build the plugin for this one"));
    }

    private static void CheckReferences(PluginManifest plugin, List<Diagnostic> findings)
    {
        foreach (PluginReference missing in plugin.References.Where(reference => reference.Origin == ReferenceOrigin.Missing))
        {
            findings.Add(Diagnostic.Error(
                "SP1018", $"plugin {plugin.Name} {plugin.Version} needs an assembly that is not there; it is not loaded", plugin.MainAssembly,
                $"{missing.Name}.dll ({missing.Version}) beside it", "nothing", "copy the plugin's whole publish folder, not its DLL alone"));
        }
    }
}

/// <summary>What <see cref="PluginProbe"/> found.</summary>
/// <param name="Path">The file.</param>
/// <param name="Manifest">What could be read of it; null when it is no assembly.</param>
/// <param name="Findings">In the order found.</param>
internal sealed record PluginProbeResult(string Path, PluginManifest? Manifest, IReadOnlyList<Diagnostic> Findings)
{
    /// <summary>The first reason why it cannot be used; null when it can.</summary>
    public Diagnostic? Rejection => Findings.FirstOrDefault(finding => finding.Severity == DiagnosticSeverity.Error);
}
