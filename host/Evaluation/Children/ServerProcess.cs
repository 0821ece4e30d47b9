using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace StoragePlugins.Host.Evaluation.Children;

/// <summary>A child that serves until it is told to end: a host of ours, a QEMU, a database. Disposing kills it if it still runs.</summary>
/// <remarks>Used by one thread; it reads what the child writes on threads of its own. What is kept of that is bounded.</remarks>
internal sealed partial class ServerProcess : IDisposable
{
    /// <summary>SIGTERM.</summary>
    public const int Terminate = 15;

    /// <summary>SIGINT: to PostgreSQL, "fast".</summary>
    public const int Interrupt = 2;

    // Starting takes half a second; the rest is for machines that are busy.
    private static readonly TimeSpan s_startLimit = TimeSpan.FromSeconds(30);

    // The last flush of everything that a volume was asked for.
    private static readonly TimeSpan s_endLimit = TimeSpan.FromSeconds(60);

    // Enough for any message that says why.
    private const int MaxKept = 64 << 10;

    private readonly Process _process;
    private readonly string[] _commandLine;
    private readonly Lock _lock = new();
    private readonly StringBuilder _output = new();
    private readonly StringBuilder _errors = new();

    private ServerProcess(Process process, string[] commandLine)
    {
        (_process, _commandLine) = (process, commandLine);
        process.OutputDataReceived += (_, line) => Keep(_output, line.Data);
        process.ErrorDataReceived += (_, line) => Keep(_errors, line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>Its process id.</summary>
    public int Id => _process.Id;

    /// <summary>What it wrote to standard output so far.</summary>
    public string Output => Kept(_output);

    /// <summary>What it wrote to standard error so far.</summary>
    public string Errors => Kept(_errors);

    /// <summary>Starts it.</summary>
    /// <exception cref="DiagnosticException">SP4202: it is not installed.</exception>
    public static ServerProcess Start(string program, string[] arguments, string? folder = null)
    {
        Process process = Programs.Start(program, arguments, folder);
        process.StandardInput.Close();
        return new ServerProcess(process, [program, .. arguments]);
    }

    /// <summary>Waits until it is ready.</summary>
    /// <exception cref="DiagnosticException">SP4203: it ended, or is not ready in time.</exception>
    public void WaitUntil(Func<ServerProcess, bool> isReady, CancellationToken cancel)
    {
        for (long start = Stopwatch.GetTimestamp(); !isReady(this); Thread.Sleep(2))
        {
            cancel.ThrowIfCancellationRequested();
            if (_process.HasExited)
            {
                // All that it wrote.
                _process.WaitForExit();
                throw Failed($"it ended with exit code {_process.ExitCode}: {LastLine(Errors.Length > 0 ? Errors : Output)}");
            }

            if (Stopwatch.GetElapsedTime(start) > s_startLimit) throw Failed($"it was not ready within {s_startLimit.TotalSeconds:0} s");
        }
    }

    /// <summary>Tells it to end and waits for that.</summary>
    /// <exception cref="DiagnosticException">SP4203: it did not end in time, or failed.</exception>
    public void Stop(int signal = Terminate)
    {
        if (_process.HasExited) throw Failed($"it ended before its time with exit code {_process.ExitCode}: {LastLine(Errors)}");
        _ = SendSignal(_process.Id, signal);
        if (!_process.WaitForExit(s_endLimit)) throw Failed($"it did not end within {s_endLimit.TotalSeconds:0} s of being told to");
        _process.WaitForExit();
        if (_process.ExitCode != 0) throw Failed($"exit code {_process.ExitCode}: {LastLine(Errors)}");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_process.HasExited)
        {
            Programs.Kill(_process);
            _process.WaitForExit(s_endLimit);
        }

        _process.Dispose();
    }

    /// <summary>kill(2).</summary>
    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    internal static partial int SendSignal(int process, int signal);

    private DiagnosticException Failed(string found) => new(
        "SP4203", "the server failed", $"{Path.GetFileName(_commandLine[0])} {string.Join(' ', _commandLine[1..])}", found: found, fix: "try it by hand; leave what needs it out with --place, --pipeline or --no-references");

    private static string LastLine(string text) => text.Trim().Split('\n')[^1].Trim();

    private void Keep(StringBuilder where, string? line)
    {
        if (line is null) return;
        lock (_lock)
        {
            where.Append(line).Append('\n');
            if (where.Length > MaxKept) where.Remove(0, where.Length - MaxKept);
        }
    }

    private string Kept(StringBuilder where)
    {
        lock (_lock) return where.ToString();
    }
}
