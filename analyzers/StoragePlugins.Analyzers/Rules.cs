using Microsoft.CodeAnalysis;

namespace StoragePlugins.Analyzers;

/// <summary>Every diagnostic of these analyzers. SP91nn: what an author's compiler says; SP1nnn–SP5nnn are what the host says at run time.</summary>
internal static class Rules
{
    public const string StrategyOutsidePluginId = "SP9101";
    public const string PluginWithoutStrategyId = "SP9102";
    public const string HalfDeclaredStrategyId = "SP9103";
    public const string MalformedNameId = "SP9104";
    public const string DuplicateIdId = "SP9105";
    public const string LostFlushFailureId = "SP9106";
    public const string BlockingWithoutTransitionId = "SP9107";
    public const string DataPathAllocationId = "SP9108";
    public const string PublicStaticStateId = "SP9109";

    private const string Plugins = "Plugins";
    private const string Durability = "Durability";
    private const string Performance = "Performance";

    public static readonly DiagnosticDescriptor StrategyOutsidePlugin = Rule(
        StrategyOutsidePluginId, Plugins, "A strategy belongs to an assembly that is marked as a storage plugin",
        "Class '{0}' is declared as a strategy, but the assembly has no [assembly: StoragePlugin(\"…\")]; sphost does not load it (SP1006)");

    public static readonly DiagnosticDescriptor PluginWithoutStrategy = Rule(
        PluginWithoutStrategyId, Plugins, "A storage plugin exports a strategy",
        "The assembly is marked as storage plugin '{0}' but has no class with [Export(typeof(…))] and [Strategy(\"…\")]; sphost does not load it (SP1020)",
        WellKnownDiagnosticTags.CompilationEnd);

    public static readonly DiagnosticDescriptor HalfDeclaredStrategy = Rule(
        HalfDeclaredStrategyId, Plugins, "A strategy is exported as its contract, has an id, and can be constructed",
        "Class '{0}' {1}; {2}");

    public static readonly DiagnosticDescriptor MalformedName = Rule(
        MalformedNameId, Plugins, "Names, ids and versions have the form that sphost expects",
        "{0} '{1}' is malformed (expected {2}); {3}");

    public static readonly DiagnosticDescriptor DuplicateId = Rule(
        DuplicateIdId, Plugins, "An id is unique for each kind of strategy",
        "Classes '{0}' and '{1}' are both exported as {2} with the id '{3}'; sphost does not load the plugin (SP1014)",
        WellKnownDiagnosticTags.CompilationEnd);

    public static readonly DiagnosticDescriptor LostFlushFailure = Rule(
        LostFlushFailureId, Durability, "The failure of a flush is final: it is neither swallowed nor retried",
        "A failure of '{0}' is {1}; what was written before may be lost although reads still show it, and another call would not tell");

    public static readonly DiagnosticDescriptor BlockingWithoutTransition = Rule(
        BlockingWithoutTransitionId, Performance, "A call that can block does not suppress the GC transition",
        "'{0}' calls {1}, which can block, with [SuppressGCTransition]; every garbage collection of the process waits for it");

    public static readonly DiagnosticDescriptor DataPathAllocation = Rule(
        DataPathAllocationId, Performance, "The data path does not allocate an array per call",
        "'{0}' implements {1} and allocates an array per call; keep a buffer, rent one, or use the stack");

    public static readonly DiagnosticDescriptor PublicStaticState = Rule(
        PublicStaticStateId, Plugins, "A plugin has no public mutable statics",
        "'{0}' is public, static and mutable: every disk of the process shares it, and any code may change it");

    private static DiagnosticDescriptor Rule(string id, string category, string title, string message, params string[] tags)
        => new(id, title, message, category, DiagnosticSeverity.Warning, isEnabledByDefault: true,
            helpLinkUri: $"docs/diagnostics/{id}.md", customTags: tags);
}
