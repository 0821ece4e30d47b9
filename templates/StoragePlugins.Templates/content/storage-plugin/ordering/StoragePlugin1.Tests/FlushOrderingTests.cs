using StoragePlugins;
using StoragePlugins.Conformance;
using StoragePlugins.CrashKit.Contracts;
using StoragePlugins.CrashKit.Subjects;

namespace StoragePluginNamespace.Tests;

/// <summary>What every ordering primitive promises, power cuts included. Further options: further classes.</summary>
public sealed class FlushOrderingTests : OrderingPrimitiveConformance
{
    // Time for each test that cuts the power: seconds while you work, an hour before you publish.
    protected override ConformanceSettings Settings => new() { Budget = TimeSpan.FromSeconds(2) };

    protected override Tested<IOrderingPrimitive> Ordering => new("plugin-id-token", new FlushOrdering(), new OrderingOptions());
}

/// <summary>The same with the other value of the option.</summary>
public sealed class FlushOrderingOfAllMetadataTests : OrderingPrimitiveConformance
{
    protected override ConformanceSettings Settings => new() { Budget = TimeSpan.FromSeconds(2) };

    protected override Tested<IOrderingPrimitive> Ordering => new("plugin-id-token", new FlushOrdering(), new OrderingOptions { AllMetadata = true });
}
