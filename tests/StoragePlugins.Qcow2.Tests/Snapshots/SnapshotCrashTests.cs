using StoragePlugins.Qcow2.Check;
using StoragePlugins.Qcow2.Header;
using StoragePlugins.Qcow2.Tests.Disk;

namespace StoragePlugins.Qcow2.Tests.Snapshots;

/// <summary>
/// Power cuts at any moment while snapshots are taken, applied and deleted and the disk is resized. No state may be corrupt, change an older snapshot,
/// lose what was acknowledged, or show an operation half done.
/// </summary>
public sealed class SnapshotCrashTests : ScratchFolder
{
    /// <summary>Runs of each case; the long run explores other sequences.</summary>
    private static int Rounds => Environment.GetEnvironmentVariable("STORAGEPLUGINS_LONG") == "1" ? 30 : 1;

    [Theory]
    [InlineData("ordered", 512, 16, 1)]
    [InlineData("ordered", 4096, 16, 2)]
    [InlineData("ordered", 4096, 4, 3)]
    [InlineData("ordered", 1024, 64, 4)]
    [InlineData("internal", 4096, 16, 5)]
    [InlineData("internal", 4096, 4, 6)]
    [InlineData("tiny internal", 4096, 16, 7)]
    [InlineData("tiny internal", 4096, 64, 8)]
    public void No_power_cut_corrupts_or_changes_a_snapshot_or_leaves_an_operation_half_done(string journalName, int clusterSize, int refcountBits, int seed)
    {
        for (int round = 0; round < Rounds; round++) Explore(TestJournal.Named(journalName), clusterSize, refcountBits, seed + (100 * round));
    }

    [Theory]
    [InlineData("ordered")]
    [InlineData("internal")]
    public void Ignored_syncs_are_found_out_so_the_test_can_fail(string journalName)
    {
        TestJournal journal = TestJournal.Named(journalName);
        byte[] image = MakeStart(4096, 16, 900 * 512);
        (RecordingMedium recorder, SnapshotGuest guest) = Record(image, journal, 4096, 1, ignoreSyncs: true);
        var random = new Random(1);
        int broken = 0;
        for (int cut = 0; cut <= recorder.Events.Count; cut += Math.Max(1, recorder.Events.Count / 60))
        {
            try
            {
                Judge(recorder.StateAt(image, cut, 2, random), guest, cut, "", journal, random, alsoByQemu: false);
            }
            catch (Exception e) when (e is Xunit.Sdk.XunitException or DiagnosticException or StorageException)
            {
                broken++;
            }
        }

        Assert.True(broken > 10, $"only {broken} broken states");
    }

    private void Explore(TestJournal journal, int clusterSize, int refcountBits, int seed)
    {
        byte[] image = MakeStart(clusterSize, refcountBits, 900 * 512);
        (RecordingMedium recorder, SnapshotGuest guest) = Record(image, journal, clusterSize, seed, ignoreSyncs: false);
        Assert.True(guest.Operations >= 6, $"only {guest.Operations} snapshot operations");

        var random = new Random(seed);
        int states = 0;
        for (int cut = 0; cut <= recorder.Events.Count; cut += random.Next(1, Math.Clamp(recorder.Events.Count / 40, 2, 12)))
        {
            for (int variant = 0; variant <= 2; variant++, states++)
            {
                byte[] state = recorder.StateAt(image, cut, variant, random);
                Judge(state, guest, cut, $"cut {cut} variant {variant} seed {seed}", journal, random, alsoByQemu: states % 40 == 0);
            }
        }

        Assert.True(states > 90, $"only {states} states");
    }

    private static (RecordingMedium Recorder, SnapshotGuest Guest) Record(byte[] image, TestJournal journal, int clusterSize, int seed, bool ignoreSyncs)
    {
        var recorder = new RecordingMedium(image) { IgnoreSyncs = ignoreSyncs };
        var guest = new SnapshotGuest(900, 1600, recorder);
        var random = new Random(seed);
        IDiskImage opened = CrashImage.Open(recorder, readOnly: false, journal);
        for (int i = 0; i < 90; i++) guest.Step(opened, random, clusterSize);
        opened.Close();
        opened.Dispose();
        guest.Flushed();
        return (recorder, guest);
    }

    private void Judge(byte[] state, SnapshotGuest guest, int cut, string where, TestJournal journal, Random random, bool alsoByQemu)
    {
        if (journal.Id != "ordered") state = CrashImage.Recover(state, journal, random);
        var medium = new RecordingMedium(state);
        CheckReport report = new Qcow2Checker(medium, Qcow2Header.Read(medium)).Run(RepairMode.None);
        Assert.True(report.Corruptions == 0 && (report.Leaks == 0 || journal.Id == "ordered"), $"{where}: {string.Join("; ", report.Findings.Take(5))}");
        if (alsoByQemu)
        {
            File.WriteAllBytes(PathOf("state.qcow2"), state);
            (int code, string output, string errors) = Qemu.Run("qemu-img", "check", "-f", "qcow2", PathOf("state.qcow2"));
            Assert.True(code == 0 || (code == 3 && journal.Id == "ordered"), $"{where}: qemu-img check: {output}{errors}");
        }

        using IDiskImage opened = CrashImage.Open(medium, readOnly: true, TestJournal.Ordered);
        guest.AssertPossible(opened, cut, where);
    }

    private byte[] MakeStart(int clusterSize, int refcountBits, int size)
    {
        string path = PathOf("start.qcow2");
        OpenTestImage.Create(path, size, new Qcow2Options { ClusterSize = clusterSize, RefcountBits = refcountBits });
        return File.ReadAllBytes(path);
    }
}
