using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins;
using StoragePlugins.Conformance;
using StoragePlugins.CrashKit.Contracts;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Subjects;
using Xunit;

namespace Samples.FixedContainer.Tests;

/// <summary>What every block format promises, power cuts included.</summary>
public sealed class FixedContainerTests : BlockFormatConformance
{
    protected override ConformanceSettings Settings => new() { Budget = TimeSpan.FromSeconds(2) };

    protected override Tested<IBlockFormat> Format => new("container", new FixedContainer(), new ContainerOptions { Label = "conformance" });
}

/// <summary>What this format adds.</summary>
public sealed class HeaderTests
{
    private readonly Machine _machine = new([]);
    private readonly FixedContainer _format = new();

    [Theory]
    [InlineData(0)]
    [InlineData(ContainerHeader.CopyAt)]
    public void Overwritten_header_is_found_and_mended_from_the_other(long at)
    {
        using SimulatedMedium medium = _machine.OpenImage();
        _format.Create(medium, new CreateRequest(1 << 20), Context("archive"));
        medium.Write(at, new byte[512], ContentClass.GuestData);
        Assert.Equal(FormatMatch.Certain, _format.Probe(medium));
        Assert.Equal((1, 0), Counts(_format.Check(medium, RepairMode.None, Context())));
        Assert.Equal((0, 1), Counts(_format.Check(medium, RepairMode.All, Context())));
        Assert.Equal((0, 0), Counts(_format.Check(medium, RepairMode.None, Context())));
        Assert.Equal(new ContainerHeader(1 << 20, "archive"), ContainerHeader.Read(medium, at));
    }

    [Fact]
    public void Cut_image_is_corrupt_and_does_not_open()
    {
        using SimulatedMedium medium = _machine.OpenImage();
        _format.Create(medium, new CreateRequest(1 << 20), Context());
        medium.SetLength(1 << 20);
        Assert.Equal((1, 0), Counts(_format.Check(medium, RepairMode.All, Context())));
        var request = new OpenRequest
        {
            Storage = new StoragePlugins.CrashKit.Contracts.Model.FlushOrdering().Attach(medium, Context()),
            JournalId = "none",
            OpenJournal = (_, _) => throw new InvalidOperationException("it has no metadata"),
            OpenBacking = _ => throw new InvalidOperationException("it has no backing file"),
        };
        Assert.Equal("CONTAINER1004", Assert.Throws<DiagnosticException>(() => _format.Open(request, Context())).Code);
    }

    private static (long Corruptions, long Fixed) Counts(CheckReport report) => (report.Corruptions, report.CorruptionsFixed);

    private static StrategyContext Context(string label = "") => new(new ContainerOptions { Label = label }, new StorageMeter(), NullLogger.Instance);
}
