using System.Diagnostics;

namespace StoragePlugins.Host.Evaluation.Children;

/// <summary>
/// A shell that waits for this process to end. When it ends without saying so, by SIGKILL or a crash, the shell becomes <c>sphost evaluate --clean-up NAME</c>, which
/// takes apart what is left. It sits in a session of its own, so that what kills a terminal's processes leaves it alive.
/// </summary>
internal sealed class Supervisor : IDisposable
{
    /// <summary>The option that cleans up after a run.</summary>
    public const string CleanUpOption = "--clean-up";

    private const string Mark = "sphost-evaluate-supervisor";

    // End of file without a line: nobody is left to clean up.
    private const string Script = "read -r done && exit 0; exec \"$@\"";

    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(5);

    private readonly Process? _shell;

    private Supervisor(Process? shell) => _shell = shell;

    /// <summary>Starts it; where there is no shell, a later run cleans up.</summary>
    public static Supervisor Watch(EvaluationScratch scratch)
    {
        if (Programs.Find("sh") is not { } shell || Programs.Find("setsid") is not { } session) return new Supervisor(null);
        (string program, string[] before) = OwnProgram.Executable;
        return new Supervisor(Process.Start(new ProcessStartInfo(session, [shell, "-c", Script, Mark, program, .. before, "evaluate", CleanUpOption, scratch.Name])
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, Environment = { ["DOTNET_EnableDiagnostics"] = "0" },
        }));
    }

    /// <summary>Whether a command line is that of a supervisor.</summary>
    public static bool IsOne(string[] commandLine) => commandLine.Contains(Mark) || commandLine.Contains(CleanUpOption);

    /// <summary>Tells it that everything is in order.</summary>
    public void Dispose()
    {
        if (_shell is null) return;
        try
        {
            _shell.StandardInput.WriteLine("done");
            _shell.StandardInput.Close();
        }
        catch (IOException)
        {
            // Somebody ended it.
        }

        if (!_shell.WaitForExit(s_limit)) Programs.Kill(_shell);
        _shell.Dispose();
    }
}
