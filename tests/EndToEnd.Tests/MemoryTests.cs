using Xunit.Abstractions;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>Resident memory of the served process.</summary>
public sealed class MemoryTests(ITestOutputHelper log) : Scratch
{
    /// <summary>The promise of the product.</summary>
    private const long IdleBytes = 80L << 20;

    /// <summary>64 requests of 1 MiB for each of 4 connections, metadata caches of 20 MiB and the runtime; without bounds it would grow with the run.</summary>
    private const long BusyBytes = 512L << 20;

    [Fact]
    public void Idle_it_stays_below_80_MB()
    {
        using SphostProcess sphost = SphostProcess.Serve(Folder);
        Tool.Succeed("nbdinfo", sphost.Uri());
        Thread.Sleep(500); // background work of the runtime's start
        log.WriteLine($"{sphost.ResidentBytes >> 20} MiB");
        Assert.InRange(sphost.ResidentBytes, 1, IdleBytes);
        sphost.Close();
    }

    [Fact]
    public void Under_large_requests_at_depth_64_it_is_bounded()
    {
        string image = PathOf("disk.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", image, "4G");
        using SphostProcess sphost = SphostProcess.Serve(Folder, image);
        string[] job = ["--bs=1M", "--iodepth=64", "--size=128M", "--numjobs=4", "--offset_increment=128M"];
        Fio.Nbd(sphost.Uri(), ["--rw=randwrite", .. job]);
        long first = sphost.PeakResidentBytes;
        for (int i = 0; i < 3; i++) Fio.Nbd(sphost.Uri(), ["--rw=randrw", .. job]);
        long peak = sphost.PeakResidentBytes;
        log.WriteLine($"peak {first >> 20} MiB after the first run, {peak >> 20} MiB after four");
        Assert.InRange(peak, 1, BusyBytes);
        sphost.Close();
        Qemu.RequireClean(image);
    }
}
