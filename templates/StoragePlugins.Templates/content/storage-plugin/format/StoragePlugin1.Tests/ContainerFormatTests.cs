using StoragePlugins;
using StoragePlugins.Conformance;
using StoragePlugins.CrashKit.Contracts;
using StoragePlugins.CrashKit.Subjects;

namespace StoragePluginNamespace.Tests;

/// <summary>What every block format promises, power cuts included. Further options: further classes.</summary>
public sealed class ContainerFormatTests : BlockFormatConformance
{
    // Time for each test that cuts the power: seconds while you work, an hour before you publish.
    protected override ConformanceSettings Settings => new() { Budget = TimeSpan.FromSeconds(2) };

    protected override Tested<IBlockFormat> Format => new("plugin-id-token", new ContainerFormat(), new FormatOptions());
}

/// <summary>The same with the data elsewhere.</summary>
public sealed class ContainerFormatWithLargeHeaderTests : BlockFormatConformance
{
    protected override ConformanceSettings Settings => new() { Budget = TimeSpan.FromSeconds(2) };

    protected override Tested<IBlockFormat> Format => new("plugin-id-token", new ContainerFormat(), new FormatOptions { DataOffset = 64 << 10 });
}
