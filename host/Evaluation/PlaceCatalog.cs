using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Evaluation.Places;
using StoragePlugins.Host.Evaluation.VirtualMachine;
using StoragePlugins.Host.Evaluation.Workloads;

namespace StoragePlugins.Host.Evaluation;

/// <summary>The places that there are, with what runs in each and who is measured there.</summary>
internal static class PlaceCatalog
{
    private static readonly PlaceEntry[] s_places =
    [
        new("block", _ => WorkloadCatalog.OfBlockDevice, (making, workloads) => new BlockDevicePlace(making.Context, making.Disks, workloads)),
        new("guest-fs", _ => WorkloadCatalog.OfGuestFileSystem, (making, workloads) => new GuestFileSystemPlace(making.Context, making.DisksAndFiles, workloads)),
        new(VirtualMachinePlace.PlaceName, _ => WorkloadCatalog.OfVirtualMachine, (making, workloads) => new VirtualMachinePlace(making.Context, making.Disks, workloads)),
        new("memory-fs", WorkloadCatalog.OfMemory, (making, workloads) => new MemoryPlace(making.Context, making.FileSystems, workloads)),
    ];

    /// <summary>A place that can be named.</summary>
    /// <param name="Name">As on the command line.</param>
    /// <param name="Workloads">What runs there at a scale.</param>
    /// <param name="Create">Makes it.</param>
    private sealed record PlaceEntry(string Name, Func<EvaluationScale, IReadOnlyList<EvaluationWorkload>> Workloads, Func<PlaceMaking, IReadOnlyList<EvaluationWorkload>, Place> Create);

    /// <summary>What places are made with.</summary>
    /// <param name="Context">Folders, programs, notes.</param>
    /// <param name="Disks">Who is measured where disks are.</param>
    /// <param name="DisksAndFiles">Who is measured where a file can stand in for a disk.</param>
    /// <param name="FileSystems">Who is measured where file systems in memory are.</param>
    private sealed record PlaceMaking(
        EvaluationContext Context, IReadOnlyList<EvaluatedContender> Disks, IReadOnlyList<EvaluatedContender> DisksAndFiles, IReadOnlyList<EvaluatedContender> FileSystems);

    /// <summary>As on the command line.</summary>
    public static IEnumerable<string> Names => s_places.Select(place => place.Name);

    /// <summary>The names themselves; when none is given all of them, but for a quick run those that take no minutes to set up.</summary>
    /// <exception cref="DiagnosticException">SP4200: one is not known.</exception>
    public static string[] RequireKnown(IReadOnlyList<string> names, EvaluationScale scale)
    {
        string[] known = [.. Names];
        foreach (string name in names.Where(name => !known.Contains(name)))
            throw new DiagnosticException("SP4200", $"there is no place '{name}'", "--place", string.Join(", ", known), fix: Spelling.Suggest(name, known));
        if (names.Count > 0) return [.. known.Where(names.Contains)];
        return scale == EvaluationScale.Quick ? [.. known.Where(name => name != VirtualMachinePlace.PlaceName)] : known;
    }

    /// <summary>Refuses names of workloads that nothing has.</summary>
    /// <exception cref="DiagnosticException">SP4200.</exception>
    public static void RequireKnownWorkloads(IReadOnlyList<string> names, EvaluationScale scale)
    {
        string[] known = [.. s_places.SelectMany(place => place.Workloads(scale)).Select(workload => workload.Name).Distinct()];
        foreach (string name in names.Where(name => !known.Contains(name)))
            throw new DiagnosticException("SP4200", $"there is no workload '{name}'", "--workload", string.Join(", ", known), fix: Spelling.Suggest(name, known));
    }

    /// <summary>Makes the named ones.</summary>
    /// <param name="context">What they are made with.</param>
    /// <param name="pipelines">Our contenders.</param>
    /// <param name="noReferences">Leave the peers out.</param>
    /// <param name="names">Of places, in the order of the tables.</param>
    public static Place[] Create(EvaluationContext context, IEnumerable<EvaluatedContender> pipelines, bool noReferences, IReadOnlyList<string> names)
    {
        QemuKind[] kinds = context.Scale == EvaluationScale.Quick ? [QemuKind.Default, QemuKind.LazyRefcounts] : [QemuKind.Default, QemuKind.LazyRefcounts, QemuKind.RawSparse];
        EvaluatedContender[] ours = [.. pipelines];
        EvaluatedContender[] qemu = [.. kinds.Select(kind => new EvaluatedQemu(kind)).Where(_ => !noReferences)];
        EvaluatedContender[] file = noReferences ? [] : [new EvaluatedPlainFile()];
        EvaluatedContender[] fileSystems = [.. Enum.GetValues<MemoryFileSystemKind>().Select(kind => new EvaluatedMemoryFileSystem(kind)).Where(each => !noReferences || !each.IsReference)];
        var making = new PlaceMaking(context, [.. qemu, .. ours], [.. qemu, .. file, .. ours], fileSystems);
        return [.. s_places.Where(place => names.Contains(place.Name)).Select(place => place.Create(making, place.Workloads(context.Scale)))];
    }
}
