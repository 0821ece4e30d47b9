using StoragePlugins.Qcow2.Tests.Disk;

namespace StoragePlugins.Qcow2.Tests.Snapshots;

/// <summary>Random writes, discards, resizes and snapshots against byte arrays; QEMU judges each closed image, and takes part in between.</summary>
public sealed class RandomSnapshotTests : ScratchFolder
{
    private const int Size = (3 << 20) + 1536;

    [Theory]
    [InlineData("ordered", 512, 16, 3)]
    [InlineData("ordered", 4096, 16, 3)]
    [InlineData("ordered", 4096, 4, 3)]
    [InlineData("ordered", 65536, 64, 3)]
    [InlineData("ordered", 4096, 16, 2)]
    [InlineData("internal", 65536, 16, 3)]
    [InlineData("internal", 4096, 8, 3)]
    [InlineData("tiny internal", 4096, 16, 3)]
    [InlineData("tiny internal", 4096, 64, 3)]
    public void Live_disk_and_every_snapshot_hold_what_they_should_and_qemu_agrees(string journal, int clusterSize, int refcountBits, int version)
    {
        string path = PathOf("disk.qcow2");
        OpenTestImage.Create(path, Size, new Qcow2Options { ClusterSize = clusterSize, RefcountBits = refcountBits, Version = version });
        var model = new SnapshotModel(Size);
        var random = new Random(clusterSize + refcountBits + version + journal.Length);
        for (int round = 0; round < 3; round++)
        {
            var image = new OpenTestImage(path, options: new Qcow2Options { MapCache = 64 << 10, RefcountCache = 64 << 10 }, journal: TestJournal.Named(journal));
            for (int i = 0; i < 70; i++) Step(image, model, random, clusterSize, version);
            model.AssertShownBy(image.Image, $"round {round}");
            image.Close();
            model.AssertReadByQemu(path, PathOf("converted.raw"));
            StepOfQemu(path, model, random, $"q{round}");
        }
    }

    private static void Step(OpenTestImage image, SnapshotModel model, Random random, int clusterSize, int version)
    {
        var snapshots = (ISnapshotImage)image.Image;
        string? any = model.Snapshots.Count == 0 ? null : model.Snapshots.Keys.ElementAt(random.Next(model.Snapshots.Count));
        int offset = random.Next(model.Live.Length / 512) * 512;
        int length = Math.Min(random.Next(1, Math.Max(16, clusterSize / 128)) * 512, model.Live.Length - offset);
        switch (random.Next(14))
        {
            case 0 when model.Snapshots.Count < 7:
                string name = $"s{random.Next(1 << 30):x}";
                snapshots.CreateSnapshot(name);
                model.Create(name);
                break;
            case 1 when any is not null:
                snapshots.ApplySnapshot(any);
                model.Apply(any);
                break;
            case 2 when any is not null:
                snapshots.DeleteSnapshot(any);
                model.Snapshots.Remove(any);
                break;
            case 3 when version == 3:
                int size = random.Next(Size / 2048, Size / 512) * 512;
                image.Disk.GetCapability<IResizableDisk>()!.Resize(size);
                model.Resize(size);
                break;
            case 4:
                image.Disk.GetCapability<IZeroingDisk>()!.WriteZeroes(offset, length, mayUnmap: random.Next(2) == 0);
                model.Live.AsSpan(offset, length).Clear();
                break;
            case 5:
                image.Disk.GetCapability<IDiscardDisk>()!.Discard(offset, length);
                image.Disk.Read(offset, model.Live.AsSpan(offset, length));
                break;
            case 6:
                image.Disk.Flush();
                break;
            default:
                random.NextBytes(model.Live.AsSpan(offset, length));
                image.Disk.Write(offset, model.Live.AsSpan(offset, length));
                break;
        }
    }

    /// <summary>QEMU deletes one of our snapshots, applies another and takes one itself.</summary>
    private static void StepOfQemu(string path, SnapshotModel model, Random random, string name)
    {
        if (model.Snapshots.Count > 1)
        {
            string deleted = model.Snapshots.Keys.ElementAt(random.Next(model.Snapshots.Count));
            Qemu.Img("snapshot", "-d", deleted, path);
            model.Snapshots.Remove(deleted);
            string applied = model.Snapshots.Keys.ElementAt(random.Next(model.Snapshots.Count));
            Qemu.Img("snapshot", "-a", applied, path);
            model.Apply(applied);
        }

        Qemu.Io(path, "write -P 77 64k 200k");
        Array.Fill(model.Live, (byte)77, 64 << 10, 200 << 10);
        Qemu.Img("snapshot", "-c", name, path);
        model.Create(name);
        Qemu.Img("check", "-q", path);
    }
}
