using StoragePlugins.CrashKit.Contracts;
using StoragePlugins.CrashKit.Subjects;
using Xunit;

namespace StoragePlugins.Conformance;

/// <summary>The tests of <see cref="IOrderingPrimitive"/>: derive, give the strategy, run.</summary>
public abstract class OrderingPrimitiveConformance : ContractTests
{
    /// <summary>What is promised.</summary>
    public static IEnumerable<object[]> Promises => NamesOf(OrderingPrimitiveCases.For(new Tested<IOrderingPrimitive>("", null!)));

    /// <summary>The strategy under test, with options that keep states small.</summary>
    protected abstract Tested<IOrderingPrimitive> Ordering { get; }

    /// <summary>One promise of the contract.</summary>
    [Theory]
    [MemberData(nameof(Promises))]
    public void Contract_holds(string promise) => Run(OrderingPrimitiveCases.For(Ordering), promise);
}
