using StoragePlugins;
using StoragePlugins.Conformance;
using StoragePlugins.CrashKit.Contracts;
using StoragePlugins.CrashKit.Subjects;

namespace StoragePluginNamespace.Tests;

/// <summary>What every metadata journal promises, power cuts included. Further options: further classes.</summary>
public sealed class WriteThroughJournalTests : MetadataJournalConformance
{
    // Time for each test that cuts the power: seconds while you work, an hour before you publish.
    protected override ConformanceSettings Settings => new() { Budget = TimeSpan.FromSeconds(2) };

    protected override Tested<IMetadataJournal> Journal => new("plugin-id-token", new WriteThroughJournal(), new JournalOptions());
}

/// <summary>The same with the other value of the option.</summary>
public sealed class WriteThroughJournalWithDurableStagesTests : MetadataJournalConformance
{
    protected override ConformanceSettings Settings => new() { Budget = TimeSpan.FromSeconds(2) };

    protected override Tested<IMetadataJournal> Journal => new("plugin-id-token", new WriteThroughJournal(), new JournalOptions { DurableStages = true });
}
