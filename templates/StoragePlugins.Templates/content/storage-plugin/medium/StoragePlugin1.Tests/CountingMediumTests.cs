using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins;
using StoragePlugins.Conformance;
using StoragePlugins.CrashKit.Contracts;
using StoragePlugins.CrashKit.Contracts.Model;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Subjects;
using Xunit;

namespace StoragePluginNamespace.Tests;

/// <summary>An ordering primitive that is known to be right still is, over this medium: nothing that a power cut can show was changed on its way.</summary>
public sealed class OrderingOverCountingMediumTests : OrderingPrimitiveConformance
{
    // Time for each test that cuts the power: seconds while you work, an hour before you publish.
    protected override ConformanceSettings Settings => new() { Budget = TimeSpan.FromSeconds(2) };

    protected override Tested<IOrderingPrimitive> Ordering => new("the kit's ordering over plugin-id-token", new OverCountingMedium());

    private sealed class OverCountingMedium : IOrderingPrimitive
    {
        public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) => new FlushOrdering().Attach(CountingMediumTests.Open(medium), context);
    }
}

/// <summary>What this medium does itself.</summary>
public sealed class CountingMediumTests
{
    private readonly Machine _machine = new(new byte[4096], DeviceTraits.BarrierDisk);

    [Fact]
    public void Writes_flushes_and_barriers_are_counted_and_passed_on()
    {
        MediumCounts? told = null;
        using (var medium = new CountingMedium(_machine.OpenImage(), counts => told = counts))
        {
            medium.Write(10, [1, 2, 3], ContentClass.GuestData);
            medium.Write(20, [4], ContentClass.GuestData);
            medium.GetCapability<IFlushableMedium>()!.FlushData();
            medium.GetCapability<IBarrierMedium>()!.Barrier();
            byte[] read = new byte[3];
            Assert.Equal(3, medium.Read(10, read));
            Assert.Equal([1, 2, 3], read);
        }

        Assert.Equal(new MediumCounts(2, 4, 1, 1), told);
    }

    [Fact]
    public void What_the_medium_beneath_cannot_do_is_not_offered()
    {
        using var disk = new CountingMedium(new Machine(new byte[4096], DeviceTraits.Disk).OpenImage(), null);
        Assert.Null(disk.GetCapability<IBarrierMedium>());
        Assert.NotNull(disk.GetCapability<IFlushableMedium>());
    }

    [Fact]
    public void No_way_around_the_counts_is_passed_on()
    {
        using var medium = new CountingMedium(_machine.OpenImage(), null);
        Assert.Null(medium.GetCapability<IFileMedium>());
        Assert.Null(medium.GetCapability<IMappableMedium>());
    }

    internal static IStorageMedium Open(IStorageMedium inner) => new CountingMediumFactory().Open(
        new MediumRequest { Location = inner.Name, OpenInner = () => inner }, new StrategyContext(new MediumOptions { Report = false }, new StorageMeter(), NullLogger.Instance));
}
