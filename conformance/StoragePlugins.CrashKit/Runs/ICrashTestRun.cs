namespace StoragePlugins.CrashKit.Runs;

/// <summary>A crash test that can be watched: of disks (<see cref="CrashTest"/>) or of trees of files (<see cref="Trees.TreeCrashTest"/>).</summary>
public interface ICrashTestRun
{
    /// <summary>Where the run stands. From any thread.</summary>
    CrashTestReport Progress();

    /// <summary>Runs until the budget is spent or enough failures were found.</summary>
    /// <exception cref="DiagnosticException">The pipeline cannot be tested at all.</exception>
    CrashTestReport Run(CancellationToken cancellation = default);
}
