using System.Buffers.Binary;

namespace StoragePlugins.Qcow2.Tests.Disk;

/// <summary>Many threads on the same clusters, each owning every eighth sector, with freed clusters reused under their hands.</summary>
public sealed class RaceTests : ScratchFolder
{
    private const int Sectors = 4096;
    private const int Writers = 8;

    [Theory]
    [InlineData(4096, false)]
    [InlineData(65536, false)]
    [InlineData(4096, true)]
    public void No_sector_ever_shows_another_sectors_bytes(int clusterSize, bool snapshot)
    {
        string path = PathOf("race.qcow2");
        OpenTestImage.Create(path, Sectors * 512L, new Qcow2Options { ClusterSize = clusterSize });
        if (snapshot)
        {
            var first = new OpenTestImage(path);
            byte[] all = new byte[Sectors * 512];
            for (int s = 0; s < Sectors; s++) Stamp(all.AsSpan(s * 512, 512), s, 1);
            first.Disk.Write(0, all);
            first.Close();
            Qemu.Img("snapshot", "-c", "s", path);
        }

        var image = new OpenTestImage(path, options: new Qcow2Options { ClusterSize = clusterSize, MapCache = 64 << 10, RefcountCache = 64 << 10 });
        var failures = new List<string>();
        using var done = new CancellationTokenSource(TimeSpan.FromSeconds(4));
        var threads = new List<Thread>();
        for (int w = 0; w < Writers; w++)
        {
            int own = w;
            threads.Add(new Thread(() => Guarded(failures, () => Write(image.Disk, own, done.Token))));
        }

        threads.Add(new Thread(() => Guarded(failures, () => Discard(image.Disk, clusterSize, done.Token))));
        threads.Add(new Thread(() => Guarded(failures, () =>
        {
            while (!done.IsCancellationRequested) image.Disk.Flush();
        })));
        for (int r = 0; r < 2; r++) threads.Add(new Thread(() => Guarded(failures, () => ReadAll(image.Disk, done.Token))));
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        Assert.Empty(failures);
        image.Close();
        (int code, string output, string errors) = Qemu.Run("qemu-img", "check", "-f", "qcow2", path);
        Assert.True(code == 0, output + errors);
    }

    private static void Stamp(Span<byte> sector, int index, uint stamp)
    {
        for (int i = 0; i < 512; i += 8)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(sector[i..], (uint)index);
            BinaryPrimitives.WriteUInt32LittleEndian(sector[(i + 4)..], stamp);
        }
    }

    private static void Write(IVirtualDisk disk, int own, CancellationToken done)
    {
        var random = new Random(own);
        byte[] sector = new byte[512];
        INonBlockingDisk nonBlocking = disk.GetCapability<INonBlockingDisk>()!;
        for (uint stamp = 2; !done.IsCancellationRequested; stamp++)
        {
            int s = (random.Next(Sectors / Writers) * Writers) + own;
            Stamp(sector, s, stamp);
            if (stamp % 2 == 0 || !nonBlocking.TryWrite(s * 512L, sector)) disk.Write(s * 512L, sector);
        }
    }

    private static void Discard(IVirtualDisk disk, int clusterSize, CancellationToken done)
    {
        var random = new Random(99);
        while (!done.IsCancellationRequested)
        {
            long offset = random.Next((Sectors * 512) / clusterSize) * (long)clusterSize;
            long length = Math.Min((Sectors * 512) - offset, clusterSize * (long)random.Next(1, 4));
            if (random.Next(2) == 0) disk.GetCapability<IDiscardDisk>()!.Discard(offset, length);
            else disk.GetCapability<IZeroingDisk>()!.WriteZeroes(offset, length, random.Next(2) == 0);
        }
    }

    private static void ReadAll(IVirtualDisk disk, CancellationToken done)
    {
        byte[] part = new byte[64 << 10];
        var random = new Random(5);
        while (!done.IsCancellationRequested)
        {
            int first = random.Next(Sectors - (part.Length / 512));
            disk.Read(first * 512L, part);
            for (int s = 0; s < part.Length / 512; s++)
            {
                ulong word = BinaryPrimitives.ReadUInt64LittleEndian(part.AsSpan(s * 512));
                if (word != 0 && (uint)word != first + s) throw new InvalidOperationException($"sector {first + s} shows sector {(uint)word}, stamp {word >> 32}");
            }
        }
    }

    private static void Guarded(List<string> failures, Action action)
    {
        try
        {
            action();
        }
        catch (Exception e)
        {
            lock (failures) failures.Add(e.ToString());
        }
    }
}
