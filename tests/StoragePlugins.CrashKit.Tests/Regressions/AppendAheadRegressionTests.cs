using StoragePlugins.CrashKit.Faults;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Workloads;
using StoragePlugins.Fsync;
using StoragePlugins.InternalJournal;
using StoragePlugins.Journaling;
using StoragePlugins.Qcow2;

namespace StoragePlugins.CrashKit.Tests.Regressions;

/// <summary>Failures of clusters that qcow2 maps ahead of an appending guest.</summary>
public sealed class AppendAheadRegressionTests
{
    /// <summary>The guest could read the part that was written; a clean close took the cluster back as one that nobody had written to.</summary>
    [Fact]
    public void Short_write_into_a_cluster_mapped_ahead_was_undone_by_closing()
    {
        TestedPipeline pipeline = new(
            "qcow2-journal",
            new("qcow2", new Qcow2Format(), new Qcow2Options { ClusterSize = 4096, RefcountBits = 1, MapCache = 64 << 10, RefcountCache = 64 << 10, Preallocate = 16384 }),
            new("fdatasync", new FDataSyncOrdering()),
            new("internal", new InternalJournal.InternalJournal(), new InternalJournalOptions { RegionSize = 256 << 10, Overlay = 1 << 20, DualMode = DualMode.On }));
        GuestOperation[] operations =
        [
            new(GuestAction.Write, 198_623, 415), new(GuestAction.Write, 6144, 11_776), new(GuestAction.Flush), new(GuestAction.Write, 0, 4096), new(GuestAction.Write, 139_793, 404),
            new(GuestAction.ZeroAndUnmap, 3089, 3592), new(GuestAction.Discard, 10_752, 10_240), new(GuestAction.ZeroAndUnmap, 16_384, 8192), new(GuestAction.Write, 23_096, 3360),
            new(GuestAction.Reopen), new(GuestAction.Discard, 31_744, 4096), new(GuestAction.Write, 61_440, 4096),
        ];
        int struck = 0;
        // Mapping ahead is a thread's work: whether it comes in time, and which write is the failing one then, differs from run to run.
        for (int run = 0; run < 20; run++)
        {
            for (int number = 0; number < 30; number++)
            {
                var workload = new Workload(256 << 10, [.. operations.Select(operation => new[] { operation })]) { Fault = new DeviceFault(FaultKind.ShortWrite, number) };
                WorkloadRun met = WorkloadRun.Execute(pipeline, workload, PersistenceModel.Disk);
                if (!met.FaultHasStruck) break;
                struck++;
                Assert.Null(met.Problem);
            }
        }

        Assert.True(struck > 100, $"{struck} writes failed");
    }
}
