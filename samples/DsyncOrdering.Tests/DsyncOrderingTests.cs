using StoragePlugins;
using StoragePlugins.Conformance;
using StoragePlugins.CrashKit.Contracts;
using StoragePlugins.CrashKit.Subjects;

namespace Samples.DsyncOrdering.Tests;

/// <summary>What every ordering primitive promises, over the kit's devices, which have no descriptor: written and flushed, call by call.</summary>
public sealed class DsyncOrderingTests : OrderingPrimitiveConformance
{
    protected override ConformanceSettings Settings => new() { Budget = TimeSpan.FromSeconds(2) };

    protected override Tested<IOrderingPrimitive> Ordering => new("dsync", new DsyncOrdering());
}
