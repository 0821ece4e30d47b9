namespace StoragePlugins.Host.Plugins;

/// <summary>The kinds of strategy, one for each contract that a plugin can export.</summary>
internal enum StrategyKind
{
    /// <summary><see cref="IBlockFormat"/>.</summary>
    Format = 0,

    /// <summary><see cref="IMetadataJournal"/>.</summary>
    Journal,

    /// <summary><see cref="IOrderingPrimitive"/>.</summary>
    Ordering,

    /// <summary><see cref="IMediumFactory"/>.</summary>
    Medium,
}

/// <summary>Which contract stands for which kind.</summary>
internal static class StrategyKinds
{
    private static readonly Type[] s_contracts = [typeof(IBlockFormat), typeof(IMetadataJournal), typeof(IOrderingPrimitive), typeof(IMediumFactory)];

    /// <summary>All kinds, in the order of a write's way.</summary>
    public static IReadOnlyList<StrategyKind> All { get; } = Enum.GetValues<StrategyKind>();

    /// <summary>The contract of a kind.</summary>
    public static Type Contract(this StrategyKind kind) => s_contracts[(int)kind];

    /// <summary>What configurations and messages call it.</summary>
    public static string Label(this StrategyKind kind) => kind.ToString().ToLowerInvariant();

    /// <summary>The same with its article.</summary>
    public static string WithArticle(this StrategyKind kind) => (kind == StrategyKind.Ordering ? "an " : "a ") + kind.Label();

    /// <summary>The contract's rule for threads, in a sentence for authors and readers of <c>plugins show</c>.</summary>
    public static string ThreadRule(this StrategyKind kind) => kind switch
    {
        StrategyKind.Format => "one object serves all images; an image's disks are read, written and flushed by any number of threads at once",
        StrategyKind.Journal => "one object serves all images; a session's Commit, Checkpoint and Close come one at a time, while its Home is read and written by others",
        StrategyKind.Ordering => "one object serves all media; a medium is read, written, ordered and flushed by any number of threads at once",
        _ => "one object opens all media; a medium is used by any number of threads at once",
    };

    /// <summary>The kind of a contract type.</summary>
    public static StrategyKind Of(Type contract) => (StrategyKind)Array.IndexOf(s_contracts, contract);

    /// <summary>The kind whose contract has this full type name; null for any other type.</summary>
    public static StrategyKind? OfTypeName(string fullName)
    {
        int index = Array.FindIndex(s_contracts, contract => contract.FullName == fullName);
        return index < 0 ? null : (StrategyKind)index;
    }
}
