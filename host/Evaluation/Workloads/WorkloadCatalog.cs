using StoragePlugins.Host.Comparison;

namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>What runs where.</summary>
internal static class WorkloadCatalog
{
    private static readonly Workload[] s_block = [.. Workload.All.Where(workload => !workload.HasSnapshot && workload.Pattern != WritePattern.Scattered)];

    /// <summary>On a block device.</summary>
    public static IReadOnlyList<EvaluationWorkload> OfBlockDevice { get; } = [.. s_block.Select((workload, index) => new BlockWorkload(workload, index, s_block.Length))];

    /// <summary>In a file system in memory, at a scale.</summary>
    public static IReadOnlyList<EvaluationWorkload> OfMemory(EvaluationScale scale) =>
    [
        .. from countsSync in (bool[])[false, true]
           from rewrites in (bool[])[false, true]
           from cell in scale switch { EvaluationScale.Quick => IozoneCell.Few(), EvaluationScale.Standard => IozoneCell.Some(), _ => IozoneCell.Matrix() }
           select new IozoneWorkload(cell, rewrites, countsSync),
    ];

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
        new YcsbWorkload(PostgresDatabase.Engine, updates: false),
        new YcsbWorkload(PostgresDatabase.Engine, updates: true),
        new FioWorkload(isJournal: true),
        new FioWorkload(isJournal: false),
        new FillSyncWorkload(),
    ];

    /// <summary>In a virtual machine: programs that are taken along. What prepares files by this process's own calls cannot run there.</summary>
    public static IReadOnlyList<EvaluationWorkload> OfVirtualMachine { get; } = [.. OfGuestFileSystem.OfType<DdWorkload>(), new FioWorkload(isJournal: true)];
}
