using StoragePlugins.CrashKit.Contracts;
using StoragePlugins.CrashKit.Subjects;

namespace StoragePlugins.CrashKit.Tests.Trees;

/// <summary>The cases of the contract, held against the kit's own model and against toys that break it.</summary>
public class ToyContractTests
{
    public static TheoryData<string> Promises => [.. FileTreeCases.For(new Tested<IBlockFormat>("", null!)).Select(one => one.Name)];

    [Theory]
    [MemberData(nameof(Promises))]
    public void The_model_keeps_the_contract(string promise)
    {
        // The toy is never full: there is nothing to ask.
        if (promise.StartsWith("a full tree", StringComparison.Ordinal)) return;
        Run(ToyFault.None, promise);
    }

    [Theory]
    [InlineData(ToyFault.ForgetsTimes, "attributes read back, also after a close")]
    [InlineData(ToyFault.ForgetsTheFenceBehindTheWord, "what returned survives power cuts, whole")]
    [InlineData(ToyFault.ForgetsLinks, "random operations agree with the model")]
    public void A_tree_that_breaks_it_is_found_out(ToyFault fault, string promise) => Assert.Throws<ConformanceException>(() => Run(fault, promise));

    private static void Run(ToyFault fault, string promise) =>
        FileTreeCases.For(new Tested<IBlockFormat>("toy", new ToyFormat(fault))).Single(one => one.Name == promise).Run(new ConformanceSettings());
}
