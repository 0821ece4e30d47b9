using StoragePlugins.BarrierFS.Deferred;
using StoragePlugins.BarrierFS.Kernel;
using StoragePlugins.Tests;

namespace StoragePlugins.BarrierFS.Tests;

public sealed class ModeSelectionTests
{
    [Fact]
    public void Auto_takes_the_mediums_own_barrier_first_and_it_costs_no_fdatasync()
    {
        var medium = new CapableMedium { HasBarrier = true, Cache = WriteCacheKind.WriteThrough };
        var meter = new StorageMeter();
        var log = new ListLogger();
        IOrderedMedium ordered = Attach.With(medium, BarrierMode.Auto, meter: meter, logger: log);
        ordered.Write(0, new byte[8], ContentClass.GuestData);
        ordered.Barrier();
        ordered.Write(8, new byte[8], ContentClass.Map);
        ordered.Flush();
        Assert.Equal(["write 0+8 GuestData", "barrier", "write 8+8 Map", "fdatasync"], medium.Log);
        Assert.Equal(0, meter.Read().Barriers); // the medium counts its own
        Assert.Null(ordered.GetCapability<IBarrierMedium>());
        Assert.StartsWith("Information: memory: barrierfs orders by mode device barrier: ", Assert.Single(log.Lines), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(WriteCacheKind.WriteThrough, "write-through: the device says that it has no volatile cache; no kernel mode: no number of fdatabarrier(2) is configured")]
    [InlineData(WriteCacheKind.Volatile, "deferred: the device has a volatile cache; no kernel mode: no number of fdatabarrier(2) is configured")]
    [InlineData(WriteCacheKind.Unknown, "deferred: nothing is known of the device's cache; no kernel mode: no number of fdatabarrier(2) is configured")]
    [InlineData(null, "deferred: nothing is known of the device's cache; no kernel mode: no number of fdatabarrier(2) is configured")]
    public void Auto_takes_write_through_only_from_a_device_that_says_so_and_says_once_what_it_took_and_why(WriteCacheKind? cache, string expected)
    {
        var log = new ListLogger();
        using IOrderedMedium ordered = Attach.With(new CapableMedium { Cache = cache }, BarrierMode.Auto, logger: log);
        Assert.Equal($"Information: memory: barrierfs orders by mode {expected}", Assert.Single(log.Lines));
    }

    [Fact]
    public void Write_through_waits_in_every_barrier_by_fdatasync_and_counts_no_barrier()
    {
        var medium = new CapableMedium { Cache = WriteCacheKind.WriteThrough };
        var meter = new StorageMeter();
        IOrderedMedium ordered = Attach.With(medium, BarrierMode.WriteThrough, meter: meter);
        ordered.Write(0, new byte[8], ContentClass.GuestData);
        ordered.Barrier();
        ordered.Flush();
        Assert.Equal(["write 0+8 GuestData", "fdatasync", "fdatasync"], medium.Log);
        Assert.Equal(0, meter.Read().Barriers);
    }

    [Theory]
    [InlineData(WriteCacheKind.Volatile)]
    [InlineData(WriteCacheKind.Unknown)]
    [InlineData(null)]
    public void Write_through_is_refused_where_the_device_does_not_say_so(WriteCacheKind? cache)
    {
        var medium = new CapableMedium { Cache = cache };
        Assert.Equal("SP5032", Assert.Throws<DiagnosticException>(() => Attach.With(medium, BarrierMode.WriteThrough)).Code);
    }

    [Theory]
    [InlineData(BarrierMode.Auto)]
    [InlineData(BarrierMode.Kernel)]
    [InlineData(BarrierMode.Deferred)]
    [InlineData(BarrierMode.WriteThrough)]
    public void Medium_that_cannot_flush_is_refused_in_every_mode(BarrierMode mode)
        => Assert.Equal("SP5010", Assert.Throws<DiagnosticException>(() => Attach.With(new MemoryMedium { CannotFlush = true }, mode)).Code);

    [Theory]
    [InlineData("barrier")]
    [InlineData("fdatasync")]
    public void Failed_device_barrier_or_flush_is_final_and_never_repeated(string failing)
    {
        var medium = new CapableMedium { HasBarrier = true };
        IOrderedMedium ordered = Attach.With(medium, BarrierMode.Auto);
        ordered.Write(0, [1, 2, 3], ContentClass.GuestData);
        int calls = 0;
        medium.Before = operation =>
        {
            calls++;
            if (operation == failing) throw new StorageException(StorageError.Io, operation, "memory", -1, 0, "Input/output error");
        };
        Assert.Throws<DurabilityLostException>(failing == "barrier" ? ordered.Barrier : ordered.Flush);
        Assert.Throws<DurabilityLostException>(ordered.Barrier);
        Assert.Throws<DurabilityLostException>(ordered.Flush);
        Assert.Throws<DurabilityLostException>(() => ordered.Write(0, [9], ContentClass.GuestData));
        Assert.Throws<DurabilityLostException>(() => ordered.SetLength(1));
        Assert.Equal(1, calls);
        Assert.Equal(3, ordered.Read(0, new byte[3]));
    }

    [Fact]
    public void Numbers_that_mean_something_else_are_not_accepted_as_options()
    {
        Assert.Empty(Attach.Violations(new BarrierOptions()));
        Assert.Empty(Attach.Violations(new BarrierOptions { Syscall = 315 }));
        Assert.Empty(Attach.Violations(new BarrierOptions { Syscall = 549 }));
        Assert.All(new[] { 0, 1, 74, 313, 316, 512, 547, 1024 }, number => Assert.NotEmpty(Attach.Violations(new BarrierOptions { Syscall = number })));
        Assert.NotEmpty(Attach.Violations(new BarrierOptions { Queue = 4096 }));
    }

    [Fact]
    public void Machine_report_says_what_auto_would_take_and_makes_no_system_call()
    {
        string sys = Directory.CreateTempSubdirectory("barrierfs-sys-").FullName;
        try
        {
            Device(sys, "vda", 100, "write back");
            Device(sys, "loop0", 0, "write through");
            var mainline = new FakeKernel { Release = "6.18.44", Symbols = [] };
            Assert.Equal(
                [new MachineFact("auto", "deferred"), new MachineFact("kernel", "not possible: the kernel's release is 6.18.44, not 3.10.x"),
                    new MachineFact("write-through", "not possible: no device says that it has no volatile cache"),
                    new MachineFact("deferred", "possible on every medium that can be flushed")],
                MachineDescription.Of(mainline, sys));

            Device(sys, "pmem0", 100, "write through");
            var barrier = new FakeKernel();
            IReadOnlyList<MachineFact> facts = MachineDescription.Of(barrier, sys);
            Assert.Equal("kernel when the option 'syscall' is set (315 in the published kernel), else write-through for images on such a device, else deferred", facts[0].Value);
            Assert.Equal("looks like a BarrierFS kernel (3.10.61); proved when an image is opened", facts[1].Value);
            Assert.Equal("possible on pmem0: no volatile cache", facts[2].Value);
            Assert.Empty(mainline.Calls);
            Assert.Empty(barrier.Calls);
        }
        finally
        {
            Directory.Delete(sys, true);
        }
    }

    [Fact]
    public void Deferred_by_name_is_deferred_even_where_the_medium_orders_itself()
    {
        using IOrderedMedium ordered = Attach.With(new CapableMedium { HasBarrier = true }, BarrierMode.Deferred);
        Assert.IsType<DeferredMedium>(ordered);
    }

    private static void Device(string sys, string name, int sectors, string cache)
    {
        Directory.CreateDirectory(Path.Combine(sys, name, "queue"));
        File.WriteAllText(Path.Combine(sys, name, "size"), $"{sectors}\n");
        File.WriteAllText(Path.Combine(sys, name, "queue", "write_cache"), cache + "\n");
    }
}
