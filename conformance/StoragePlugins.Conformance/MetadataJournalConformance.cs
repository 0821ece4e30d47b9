using StoragePlugins.CrashKit.Contracts;
using StoragePlugins.CrashKit.Subjects;
using Xunit;

namespace StoragePlugins.Conformance;

/// <summary>The tests of <see cref="IMetadataJournal"/>: derive, give the strategy, run.</summary>
public abstract class MetadataJournalConformance : ContractTests
{
    /// <summary>What is promised.</summary>
    public static IEnumerable<object[]> Promises => NamesOf(MetadataJournalCases.For(new Tested<IMetadataJournal>("", null!)));

    /// <summary>The strategy under test, with options that keep states small.</summary>
    protected abstract Tested<IMetadataJournal> Journal { get; }

    /// <summary>One promise of the contract.</summary>
    [Theory]
    [MemberData(nameof(Promises))]
    public void Contract_holds(string promise) => Run(MetadataJournalCases.For(Journal), promise);
}
