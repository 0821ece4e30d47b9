namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>What runs where.</summary>
internal static class WorkloadCatalog
{
    /// <summary>In a file system on a disk.</summary>
    public static IReadOnlyList<EvaluationWorkload> OfGuestFileSystem { get; } =
    [
        new DdWorkload(overwrites: false, syncsEachBlock: true),
        new DdWorkload(overwrites: true, syncsEachBlock: true),
        new DdWorkload(overwrites: false, syncsEachBlock: false),
        new DdWorkload(overwrites: true, syncsEachBlock: false),
        new MobibenchWorkload(overwrites: false, 64 << 10),
        new MobibenchWorkload(overwrites: true, 64 << 10),
        new MobibenchWorkload(overwrites: false, 4 << 10),
        new MobibenchWorkload(overwrites: true, 4 << 10),
        new VarmailWorkload(),
        new YcsbWorkload(SqliteDatabase.Engine, updates: false),
        new YcsbWorkload(SqliteDatabase.Engine, updates: true),
        new FioWorkload(isJournal: true),
        new FioWorkload(isJournal: false),
        new FillSyncWorkload(),
    ];

    /// <summary>In a virtual machine: programs that are taken along. What prepares files by this process's own calls cannot run there.</summary>
    public static IReadOnlyList<EvaluationWorkload> OfVirtualMachine { get; } = [.. OfGuestFileSystem.OfType<DdWorkload>(), new FioWorkload(isJournal: true)];
}
