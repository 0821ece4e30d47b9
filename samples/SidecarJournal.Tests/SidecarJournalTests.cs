using StoragePlugins;
using StoragePlugins.Conformance;
using StoragePlugins.CrashKit.Contracts;
using StoragePlugins.CrashKit.Subjects;

namespace Samples.SidecarJournal.Tests;

/// <summary>What every metadata journal promises, power cuts and erring devices included; the smallest log, so that it fills and is emptied often.</summary>
public sealed class SidecarJournalTests : MetadataJournalConformance
{
    protected override ConformanceSettings Settings => new() { Budget = TimeSpan.FromSeconds(2) };

    protected override Tested<IMetadataJournal> Journal => new("sidecar", new SidecarJournal(), new SidecarOptions { LogSize = SidecarOptions.LeastLogBytes });
}
