using StoragePlugins.CrashKit.Contracts;
using StoragePlugins.CrashKit.Subjects;
using Xunit;

namespace StoragePlugins.Conformance;

/// <summary>The tests of <see cref="IFileTree"/> for a format whose images are trees of files in mapped memory: derive, give the strategy, run.</summary>
public abstract class FileTreeConformance : ContractTests
{
    /// <summary>What is promised.</summary>
    public static IEnumerable<object[]> Promises => NamesOf(FileTreeCases.For(new Tested<IBlockFormat>("", null!)));

    /// <summary>The strategy under test, with options that keep states small.</summary>
    protected abstract Tested<IBlockFormat> Format { get; }

    /// <summary>One promise of the contract.</summary>
    [Theory]
    [MemberData(nameof(Promises))]
    public void Contract_holds(string promise) => Run(FileTreeCases.For(Format), promise);
}
