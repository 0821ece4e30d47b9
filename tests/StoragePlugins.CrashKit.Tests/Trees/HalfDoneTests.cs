using StoragePlugins.CrashKit.Trees;

namespace StoragePlugins.CrashKit.Tests.Trees;

/// <summary>What an operation on bytes may leave half done, and what not.</summary>
public class HalfDoneTests
{
    private readonly ModelTree _old = new(), _new = new(), _shown = new();

    public HalfDoneTests()
    {
        foreach (ModelTree tree in new[] { _old, _new, _shown }) Do(tree, new TreeOperation(TreeAction.Create, "a"), 0);
    }

    [Fact]
    public void Words_of_an_overwrite_are_old_or_new()
    {
        All(new TreeOperation(TreeAction.Write, "a", Length: 100), 1);
        Do(_new, new TreeOperation(TreeAction.Write, "a", Offset: 16, Length: 40), 2);
        Do(_shown, new TreeOperation(TreeAction.Write, "a", Offset: 24, Length: 8), 2);
        Assert.NotNull(Difference(_old, null));
        Assert.Null(Difference(_old, Half(16, 40)));
    }

    [Fact]
    public void Nothing_outside_its_range_and_nothing_else_is()
    {
        All(new TreeOperation(TreeAction.Write, "a", Length: 100), 1);
        Do(_new, new TreeOperation(TreeAction.Write, "a", Offset: 16, Length: 40), 2);
        Do(_shown, new TreeOperation(TreeAction.Write, "a", Offset: 56, Length: 8), 2);
        Assert.NotNull(Difference(_old, Half(16, 40)));
        Do(_shown, new TreeOperation(TreeAction.Write, "a", Length: 100), 1);
        Do(_shown, new TreeOperation(TreeAction.Write, "a", Offset: 16, Length: 8), 3);
        Assert.NotNull(Difference(_old, Half(16, 40)));
    }

    [Fact]
    public void The_last_word_of_a_file_that_ends_inside_it_may_be_old_too()
    {
        All(new TreeOperation(TreeAction.Write, "a", Length: 7), 1);
        Do(_new, new TreeOperation(TreeAction.PunchHole, "a", Length: 4096), 2);
        NodeView before = TreeReader.Read(_old).Paths["a"], after = TreeReader.Read(_new).Paths["a"];
        HalfDone backwards = TreeJudge.Backwards(Half(0, 4096), before, after);
        Assert.Null(Difference(_new, backwards));
    }

    [Fact]
    public void Bytes_behind_the_old_end_are_new_once_the_size_shows_them()
    {
        All(new TreeOperation(TreeAction.Write, "a", Length: 12), 1);
        Do(_new, new TreeOperation(TreeAction.Write, "a", Offset: 0, Length: 40), 2);
        Do(_shown, new TreeOperation(TreeAction.SetSize, "a", Offset: 40), 2);
        NodeView before = TreeReader.Read(_old).Paths["a"], after = TreeReader.Read(_new).Paths["a"];
        Assert.NotNull(Difference(_new, TreeJudge.Backwards(Half(0, 40), before, after)));
        Do(_shown, new TreeOperation(TreeAction.Write, "a", Offset: 8, Length: 32), 2);
        Assert.Null(Difference(_new, TreeJudge.Backwards(Half(0, 40), before, after)));
    }

    private static void Do(ModelTree tree, TreeOperation operation, int number) => Assert.Equal(FileError.None, new TreeDriver(tree).Do(operation, number));

    private void All(TreeOperation operation, int number)
    {
        foreach (ModelTree tree in new[] { _old, _new, _shown }) Do(tree, operation, number);
    }

    private HalfDone Half(long offset, long length) => new("a", offset, length, TreeReader.Read(_new).Paths["a"].Content);

    private string? Difference(ModelTree expected, HalfDone? half) => TreeView.Difference(TreeReader.Read(_shown), TreeReader.Read(expected), withTimes: false, half);
}
