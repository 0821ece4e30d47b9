using StoragePlugins.CrashKit.Contracts;

namespace StoragePlugins.Conformance;

/// <summary>What the conformance classes share.</summary>
public abstract class ContractTests
{
    /// <summary>Seed, and time for each test that cuts the power.</summary>
    protected virtual ConformanceSettings Settings => new();

    /// <summary>Runs the case of this name.</summary>
    protected void Run(IReadOnlyList<ConformanceCase> cases, string promise)
    {
        try
        {
            cases.Single(one => one.Name == promise).Run(Settings);
        }
        catch (DoesNotApplyException)
        {
            // Nothing is promised that could be broken.
        }
    }

    /// <summary>The names of cases, for a theory. The strategy is not needed for them.</summary>
    protected static IEnumerable<object[]> NamesOf(IReadOnlyList<ConformanceCase> cases) => cases.Select(one => new object[] { one.Name });
}
