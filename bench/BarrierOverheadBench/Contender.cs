using System.Globalization;
using System.Text.Json;

namespace StoragePlugins.BarrierOverheadBench;

/// <summary>A way to order qcow2's metadata updates. All are the format qcow2 with the journal <c>ordered</c>, which is QEMU's order of updates.</summary>
/// <param name="Name">As the tables call it.</param>
/// <param name="Description">One sentence.</param>
/// <param name="Ordering">The ordering's node of a configuration.</param>
internal sealed record Contender(string Name, string Description, object Ordering)
{
    /// <summary>The one that all are compared with.</summary>
    public const string Ordered = "ordered";

    /// <summary>The same again.</summary>
    public const string OrderedAgain = "ordered-again";

    /// <summary>With the old QEMU's syncs that have nothing to sync.</summary>
    public const string Qemu21 = "qemu-2.1";

    /// <summary>With barriers instead of these; compared with that one too.</summary>
    public const string Qemu21Barrier = "qemu-2.1-barrier";

    /// <summary>All, in the tables' order.</summary>
    /// <param name="isSlow">On the simulated device, which has no file whose writes could be dispatched.</param>
    public static IReadOnlyList<Contender> All(bool isSlow) =>
    [
        new(Ordered, "an fdatasync wherever order matters, one for the flush: QEMU since 2.7", Pattern("sync", 0)),
        new(OrderedAgain, "the same once more: how far two equal things differ here", Pattern("sync", 0)),
        new("barrier", "the shipped pipeline qcow2-barrier: barriers where order matters, one fdatasync for the flush", new { id = "barrierfs" }),
        new("barrier-free", "barriers that do nothing: no barrier of whatever kind can be cheaper (not crash-safe)", Pattern("nothing", 0)),
        new(Qemu21, "QEMU 2.1's flush: an fdatasync after each of its two caches, dirty or not, then that of the file", Pattern("sync", 2)),
        isSlow
            ? new(Qemu21Barrier, "the same with free barriers for the first two", Pattern("nothing", 2))
            : new(Qemu21Barrier, "the same with dispatching barriers (sync_file_range) for the first two: the paper's QEMU(Barrier)", Pattern("dispatch", 2)),
    ];

    /// <summary>Writes a configuration with a pipeline for each.</summary>
    /// <param name="path">Where.</param>
    /// <param name="contenders">Whose names the pipelines have.</param>
    /// <param name="slowFlush">What the simulated device adds to a flush; null for the machine's own device.</param>
    public static void WriteConfiguration(string path, IEnumerable<Contender> contenders, TimeSpan? slowFlush)
    {
        object[] media = slowFlush is { } flush ? [new { id = "slow", flush = string.Create(CultureInfo.InvariantCulture, $"{flush.TotalMicroseconds:0}us") }, "file"] : ["file"];
        var pipelines = contenders.ToDictionary(each => each.Name, each => new { format = "qcow2", journal = "ordered", ordering = each.Ordering, medium = media });
        File.WriteAllBytes(path, JsonSerializer.SerializeToUtf8Bytes(new { pipelines }));
    }

    private static object Pattern(string barrier, int barriersBeforeFlush) => new { id = "sync-pattern", barrier, barriersBeforeFlush };
}
