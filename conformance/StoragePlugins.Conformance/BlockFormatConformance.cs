using StoragePlugins.CrashKit.Contracts;
using StoragePlugins.CrashKit.Subjects;
using Xunit;

namespace StoragePlugins.Conformance;

/// <summary>The tests of <see cref="IBlockFormat"/>: derive, give the strategy, run.</summary>
public abstract class BlockFormatConformance : ContractTests
{
    /// <summary>What is promised.</summary>
    public static IEnumerable<object[]> Promises => NamesOf(BlockFormatCases.For(new Tested<IBlockFormat>("", null!)));

    /// <summary>The strategy under test, with options that keep states small.</summary>
    protected abstract Tested<IBlockFormat> Format { get; }

    /// <summary>One promise of the contract.</summary>
    [Theory]
    [MemberData(nameof(Promises))]
    public void Contract_holds(string promise) => Run(BlockFormatCases.For(Format), promise);
}
