using StoragePlugins.Qcow2.Check;
using StoragePlugins.Qcow2.Header;
using StoragePlugins.Qcow2.Tests.Disk;

namespace StoragePlugins.Qcow2.Tests.Snapshots;

/// <summary>Snapshot operations and resizes that fail or are cut off at any of their steps.</summary>
public sealed class SnapshotFailureTests : ScratchFolder
{
    private const int Cluster = 4096;

    public static TheoryData<string, string> Operations()
    {
        var cases = new TheoryData<string, string>();
        foreach (string journal in (string[])["ordered", "internal"])
        {
            foreach (string operation in (string[])["create", "apply", "delete", "grow", "shrink"]) cases.Add(journal, operation);
        }

        return cases;
    }

    [Theory]
    [MemberData(nameof(Operations))]
    public void Power_cut_at_every_moment_of_an_operation_leaves_it_undone_or_done(string journalName, string operation)
    {
        TestJournal journal = TestJournal.Named(journalName);
        byte[] start = MakeStart();
        var recorder = new RecordingMedium(start);
        IDiskImage image = CrashImage.Open(recorder, readOnly: false, journal);
        byte[] undone = Facts(image);
        int begin = recorder.Events.Count;
        Do(image, operation);
        int end = recorder.Events.Count;
        byte[] done = Facts(image);
        Assert.NotEqual(undone, done);
        var random = new Random(1);
        for (int cut = begin; cut <= end; cut++)
        {
            for (int variant = 0; variant < 9; variant++)
            {
                byte[] state = recorder.StateAt(start, cut, variant % 3, random);
                if (journal.Id != "ordered") state = CrashImage.Recover(state, journal, random);
                var medium = new RecordingMedium(state);
                CheckReport report = new Qcow2Checker(medium, Qcow2Header.Read(medium)).Run(RepairMode.None);
                Assert.True(report.Corruptions == 0 && (report.Leaks == 0 || journal.Id == "ordered"), $"cut {cut - begin} of {end - begin} variant {variant}: {string.Join("; ", report.Findings.Take(5))}");
                using IDiskImage opened = CrashImage.Open(medium, readOnly: true, TestJournal.Ordered);
                byte[] facts = Facts(opened);
                bool isDone = facts.AsSpan().SequenceEqual(done);
                Assert.True(isDone || facts.AsSpan().SequenceEqual(undone), $"cut {cut - begin} of {end - begin} variant {variant}: neither done nor undone");
                Assert.True(isDone || cut < end, "done, and lost after it returned");
            }
        }

        image.Dispose();
    }

    [Theory]
    [MemberData(nameof(Operations))]
    public void Host_disk_full_at_any_write_leaves_the_image_as_it_was(string journalName, string operation)
    {
        int failures = 0;
        byte[] start = MakeStart();
        for (int failAt = 0; failures == failAt; failAt++)
        {
            string path = PathOf($"full-{failAt}.qcow2");
            File.WriteAllBytes(path, start);
            var image = new OpenTestImage(path, journal: TestJournal.Named(journalName));
            byte[] before = Facts(image.Image);
            int writes = 0;
            image.Medium.BeforeWrite = (offset, length, _) =>
            {
                if (writes++ == failAt) throw new StorageException(StorageError.NoSpace, "write", "test", offset, length, "No space left on device");
            };
            bool failed = false;
            try
            {
                Do(image.Image, operation);
            }
            catch (StorageException e) when (e.Error == StorageError.NoSpace)
            {
                failed = true;
                failures++;
            }

            image.Medium.BeforeWrite = null;
            // A resize in several steps may be done in part; a snapshot operation never.
            if (failed && operation is not ("grow" or "shrink")) Assert.Equal(before, Facts(image.Image));
            if (failed) Do(image.Image, operation);
            byte[] after = Facts(image.Image);
            image.Close();
            Qemu.Img("check", "-q", "-f", "qcow2", path);
            using var again = new OpenTestImage(path);
            Assert.Equal(after, Facts(again.Image));
        }

        Assert.True(failures > 1, $"only {failures} writes");
    }

    [Fact]
    public void Space_of_operations_that_failed_is_used_again()
    {
        string path = PathOf("again.qcow2");
        File.WriteAllBytes(path, MakeStart());
        var image = new OpenTestImage(path);
        long before = image.Medium.Length;
        for (int i = 0; i < 50; i++)
        {
            image.Medium.BeforeWrite = (offset, length, content) =>
            {
                if (content == ContentClass.AllocationRoot) throw new StorageException(StorageError.NoSpace, "write", "test", offset, length, "No space left on device");
            };
            Assert.Throws<StorageException>(() => Do(image.Image, "apply"));
        }

        image.Medium.BeforeWrite = null;
        Do(image.Image, "apply");
        Assert.InRange(image.Medium.Length, before, before + (20 * Cluster));
        image.Close();
        Qemu.Img("check", "-q", "-f", "qcow2", path);
    }

    [Fact]
    public void Header_that_could_not_be_written_nor_restored_stops_the_image_before_it_diverges()
    {
        string path = PathOf("doubt.qcow2");
        File.WriteAllBytes(path, MakeStart());
        using (var image = new OpenTestImage(path))
        {
            image.Medium.BeforeWrite = (offset, length, content) =>
            {
                if (content == ContentClass.Header) throw new StorageException(StorageError.Io, "write", "test", offset, length, "Input/output error");
            };
            Assert.Throws<StorageException>(() => Do(image.Image, "create"));
            image.Medium.BeforeWrite = null;
            image.Disk.Write(0, new byte[Cluster]);
            Assert.Throws<DurabilityLostException>(image.Disk.Flush);
            Assert.Throws<DurabilityLostException>(image.Image.Close);
        }

        Qemu.Img("check", "-q", "-f", "qcow2", path);
    }

    [Fact]
    public void Journal_is_replayed_over_a_header_whose_fields_are_of_several_transactions()
    {
        // What a power cut inside a replay can leave: the journal still has all of it.
        byte[] start = MakeStart();
        var recorder = new RecordingMedium(start);
        IDiskImage image = CrashImage.Open(recorder, readOnly: false, TestJournal.Internal);
        Do(image, "create");
        byte[] facts = Facts(image);
        image.Dispose();
        byte[] state = recorder.Now;
        Qcow2Header header = Qcow2Header.Read(new RecordingMedium(start));
        HeaderRoots mixed = HeaderRoots.Of(header) with { L1TableOffset = header.RefcountTableOffset };
        mixed.Encode().CopyTo(state, HeaderRoots.Offset);
        Assert.NotNull(new Qcow2Format().InspectJournal(new RecordingMedium(state)).InUse);

        state = CrashImage.Recover(state, TestJournal.Internal, new Random(1));
        using IDiskImage recovered = CrashImage.Open(new RecordingMedium(state), readOnly: true, TestJournal.Ordered);
        Assert.Equal(facts, Facts(recovered));
    }

    [Fact]
    public void Zeros_behind_the_old_end_are_in_order_before_the_size_that_shows_them()
    {
        string path = PathOf("grow.qcow2");
        OpenTestImage.Create(path, 10 * Cluster, new Qcow2Options { ClusterSize = Cluster });
        using var image = new OpenTestImage(path);
        image.Disk.Write(0, [.. Enumerable.Repeat((byte)7, 10 * Cluster)]);
        IResizableDisk resizable = image.Disk.GetCapability<IResizableDisk>()!;
        resizable.Resize((5 * Cluster) + 512);
        int zeros = -1, size = -1;
        image.Medium.BeforeWrite = (_, _, content) =>
        {
            if (content == ContentClass.GuestData) zeros = image.Medium.Syncs;
            if (content == ContentClass.Header) size = image.Medium.Syncs;
        };
        resizable.Resize(10 * Cluster);
        Assert.True(zeros >= 0 && size > zeros, "no barrier stands between the zeros and the size");
    }

    private byte[] MakeStart()
    {
        string path = PathOf("start.qcow2");
        OpenTestImage.Create(path, (100 * Cluster) + 1024, new Qcow2Options { ClusterSize = Cluster });
        var image = new OpenTestImage(path);
        byte[] data = new byte[40 * Cluster];
        new Random(1).NextBytes(data);
        image.Disk.Write(0, data);
        var snapshots = (ISnapshotImage)image.Image;
        snapshots.CreateSnapshot("old");
        image.Disk.Write(20 * Cluster, data);
        image.Disk.Write(98 * Cluster, data.AsSpan(0, (2 * Cluster) + 1024));
        snapshots.CreateSnapshot("young");
        image.Disk.Write(10 * Cluster, data.AsSpan(0, 3 * Cluster));
        image.Close();
        return File.ReadAllBytes(path);
    }

    private static void Do(IDiskImage image, string operation)
    {
        var snapshots = (ISnapshotImage)image;
        IResizableDisk resizable = image.OpenDisk("").GetCapability<IResizableDisk>()!;
        switch (operation)
        {
            case "create": snapshots.CreateSnapshot("new"); break;
            case "apply": snapshots.ApplySnapshot("old"); break;
            case "delete": snapshots.DeleteSnapshot("old"); break;
            // Beyond what the L1 table has room for.
            case "grow": resizable.Resize(((long)Cluster * Cluster / 8 * (Cluster / 8)) + (8 << 20)); break;
            case "shrink": resizable.Resize(50 * Cluster); break;
            default: throw new ArgumentOutOfRangeException(nameof(operation), operation, "no such operation");
        }
    }

    /// <summary>Everything that the image shows: lengths, names and content, of a long disk the part that can hold anything.</summary>
    private static byte[] Facts(IDiskImage image)
    {
        using var facts = new MemoryStream();
        using var writer = new BinaryWriter(facts);
        foreach (DiskEntry entry in image.ListDisks(null, 100))
        {
            writer.Write(entry.Name);
            writer.Write(entry.Length);
            byte[] content = new byte[Math.Min(entry.Length, 120 * Cluster)];
            image.OpenDisk(entry.Name).Read(0, content);
            writer.Write(content);
        }

        return facts.ToArray();
    }
}
