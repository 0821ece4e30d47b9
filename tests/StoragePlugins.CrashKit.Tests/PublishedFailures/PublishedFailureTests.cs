using StoragePlugins.CrashKit.Contracts.Model;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Stories;
using StoragePlugins.CrashKit.Subjects;
using Xunit.Abstractions;

namespace StoragePlugins.CrashKit.Tests.PublishedFailures;

/// <summary>Failures that journals of file systems had, and shipped: the kit finds each in a journal that is built in the same way.</summary>
public sealed class PublishedFailureTests(ITestOutputHelper output)
{
    /// <summary>
    /// Linux commit 7088c4136: XFS took a 512-byte sector of its log for atomic, which persistent memory is not without a block translation table; eight bytes
    /// are all that it promises.
    /// </summary>
    [Fact]
    public void Xfs_7088c4136_journal_torn_inside_a_sector()
    {
        Survives(hasChecksums: false, PersistenceModel.Disk);
        CrashFailure? failure = FailureOf(hasChecksums: false, takesHalvesInOrder: false, PersistenceModel.Pm);
        Assert.NotNull(failure);
        Story story = Tell(failure);
        // One fence's stores, of which words are lost.
        Assert.Contains(story.Cuts[0].Requests, request => request.Fate == RequestFate.Torn);
        Survives(hasChecksums: true, PersistenceModel.Pm);
    }

    /// <summary>
    /// Linux commit ec2ed0b5e96: a record that is split where XFS' log wraps goes out in two requests, and a power cut may leave the second without the first. A check of
    /// the log's head took that for damage and refused to mount.
    /// </summary>
    [Fact]
    public void Xfs_ec2ed0b5e96_second_half_of_a_wrapped_record_persisted_first()
    {
        CrashFailure? failure = FailureOf(hasChecksums: true, takesHalvesInOrder: true, PersistenceModel.Disk);
        Assert.NotNull(failure);
        Story story = Tell(failure);
        Assert.Contains("the second half of a record is there without the first", story.Found, StringComparison.Ordinal);
        StoryRequest[] halves = [.. story.Cuts[^1].Requests.Where(request => request.Class == ContentClass.JournalRecord).TakeLast(2)];
        Assert.True(halves[0].Offset > halves[1].Offset && halves[1].Offset == 0, string.Join('\n', story.ToLines()));
        Assert.Equal(RequestFate.Lost, halves[0].Fate);
        Assert.True(halves[1].Fate is RequestFate.Persisted or RequestFate.Torn, $"{halves[1].Fate}");
        Survives(hasChecksums: true, PersistenceModel.Disk);
    }

    private static CrashFailure? FailureOf(bool hasChecksums, bool takesHalvesInOrder, PersistenceModel model)
    {
        var journal = new Tested<IMetadataJournal>("stamped", new StampedJournal(hasChecksums, takesHalvesInOrder));
        var pipeline = new TestedPipeline("stamped", new Tested<IBlockFormat>("model", new ModelFormat()), new Tested<IOrderingPrimitive>("flush", new FlushOrdering()), journal);
        // Workloads, not time: what a loaded machine does must not decide.
        var settings = new CrashTestSettings { Model = model, Budget = TimeSpan.FromMinutes(2), MaxWorkloads = 60, FaultsEvery = 0 };
        CrashTestReport report = new CrashTest([pipeline], settings).Run();
        Assert.True(report.Failures.Count > 0 || report.Workloads == settings.MaxWorkloads);
        return report.Failures.Count == 0 ? null : report.Failures[0];
    }

    // Without the one mistake the journal is right, so it is that mistake which was found.
    private void Survives(bool hasChecksums, PersistenceModel model)
    {
        if (FailureOf(hasChecksums, takesHalvesInOrder: false, model) is { } failure) Assert.Fail(string.Join('\n', Tell(failure).ToLines()));
    }

    private Story Tell(CrashFailure failure)
    {
        Story story = Story.Of(Shrinker.Shrink(failure));
        foreach (string line in story.ToLines()) output.WriteLine(line);
        return story;
    }
}
