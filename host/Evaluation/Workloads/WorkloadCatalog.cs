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
    ];

    /// <summary>In a virtual machine: programs that are taken along.</summary>
    public static IReadOnlyList<EvaluationWorkload> OfVirtualMachine { get; } = [.. OfGuestFileSystem.OfType<DdWorkload>()];
}
