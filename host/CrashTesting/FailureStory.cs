using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Stories;
using StoragePlugins.CrashKit.Trees;

namespace StoragePlugins.Host.CrashTesting;

/// <summary>What a failure is told as: made small, with the flush that would have healed it, and a file to repeat it from.</summary>
/// <param name="Story">The story.</param>
/// <param name="ReplayFile">The file; null when it could not be written.</param>
internal sealed record FailureStory(Story Story, string? ReplayFile)
{
    /// <summary>Shrinks, heals, writes the file. Seconds.</summary>
    public static FailureStory Tell(CrashFailure failure, string folder, string? configuration, IForeignReader? foreign, Action<string> note, CancellationToken cancel)
    {
        if (failure.Fault is not null)
        {
            string? path = Save(failure, folder, configuration, note);
            return new FailureStory(StoragePlugins.CrashKit.Stories.Story.Of(failure, replayFile: path), path);
        }

        note($"{failure.Pipeline.Name}: a failure was found; making it small");
        ShrunkFailure shrunk = Shrinker.Shrink(failure, foreign: foreign, cancellation: cancel);
        Healing healing = Healer.Suggest(shrunk.Failure, foreign: foreign, cancellation: cancel);
        string? file = Save(shrunk.Failure, folder, configuration, note);
        return new FailureStory(StoragePlugins.CrashKit.Stories.Story.Of(shrunk, healing, file), file);
    }

    /// <summary>A failure of a tree of files: made small when it was found; the seed repeats it.</summary>
    public static FailureStory Tell(TreeFailure failure) => new(failure.Tell(), null);

    private static string? Save(CrashFailure failure, string folder, string? configuration, Action<string> note)
    {
        string path = Path.Combine(folder, $"crash-{failure.Pipeline.Name}-{failure.WorkloadIndex}.json");
        try
        {
            StoragePlugins.CrashKit.Stories.ReplayFile.Of(failure, configuration is null ? "" : File.ReadAllText(configuration)).Save(path);
            return path;
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException or DiagnosticException)
        {
            // The story matters more than the file about it.
            note($"no replay file was written: {problem.Message}");
            return null;
        }
    }
}
