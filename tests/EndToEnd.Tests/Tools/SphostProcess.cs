using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>A running <c>sphost serve</c> or <c>sphost mount</c>. Disposing kills it if it still runs.</summary>
internal sealed partial class SphostProcess : IDisposable
{
    private const int SigInt = 2;
    private const int SigKill = 9;
    private const int SigTerm = 15;

    /// <summary>The last line of the banner: clients can connect.</summary>
    private const string ReadyLine = "stop: ";

    /// <summary>Starting takes half a second; a debugger-sized margin for busy machines.</summary>
    private static readonly TimeSpan s_startDeadline = TimeSpan.FromSeconds(60);

    /// <summary>Above the host's own drain limit of 30 s.</summary>
    private static readonly TimeSpan s_endDeadline = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly StringBuilder _output = new();
    private readonly StringBuilder _errors = new();
    private readonly ManualResetEventSlim _ready = new();
    private readonly Dictionary<string, string> _uris = [];

    private SphostProcess(Process process) => _process = process;

    /// <summary>The shippable executable that this build made.</summary>
    public static string Executable { get; } = Path.Combine(Metadata("DistDir"), "sphost");

    /// <summary>Process id of sphost.</summary>
    public int Id => _process.Id;

    /// <summary>Standard output so far.</summary>
    public string Output
    {
        get { lock (_output) return _output.ToString(); }
    }

    /// <summary>Standard error so far.</summary>
    public string Errors
    {
        get { lock (_errors) return _errors.ToString(); }
    }

    /// <summary>Resident memory in bytes.</summary>
    public long ResidentBytes => StatusField("VmRSS");

    /// <summary>The largest resident memory so far, in bytes.</summary>
    public long PeakResidentBytes => StatusField("VmHWM");

    /// <summary>Starts <c>sphost serve</c> with these arguments in a folder and waits until clients can connect.</summary>
    public static SphostProcess Serve(string folder, params string[] arguments) => Start(folder, Executable, ["serve", .. arguments]);

    /// <summary>The same with environment variables.</summary>
    public static SphostProcess ServeWith(string folder, (string Name, string Value)[] environment, params string[] arguments) =>
        Start(folder, "env", [.. environment.Select(variable => $"{variable.Name}={variable.Value}"), Executable, "serve", .. arguments]);

    /// <summary>Starts <c>sphost mount</c> with these arguments in a folder and waits until programs can use the files.</summary>
    public static SphostProcess Mount(string folder, params string[] arguments) => Start(folder, Executable, ["mount", .. arguments]);

    /// <summary>The same as another user, in a mount name space of its own where everyone may open /dev/fuse, as on most distributions.</summary>
    public static SphostProcess MountAs(string user, string folder, params string[] arguments) => Start(
        folder, "unshare", ["--mount", "sh", "-c", "mknod fuse c 10 229 && chmod 666 fuse && mount --bind fuse /dev/fuse && exec runuser -u \"$0\" -- \"$@\"", user, Executable, "mount", .. arguments]);

    /// <summary>The same traced by strace, which writes its calls with their times to a file. The process's id stays sphost's.</summary>
    public static SphostProcess ServeTraced(string folder, string trace, string calls, params string[] arguments)
        => Start(folder, "strace", ["-D", "-f", "-ttt", "-e", $"trace={calls}", "-o", trace, Executable, "serve", .. arguments]);

    /// <summary>The same with only the system calls of Linux 3.10.</summary>
    public static SphostProcess ServeOnLinux310(string folder, params string[] arguments)
        => Start(folder, Tool.Python, [Tool.Script("linux_3_10.py"), Executable, "serve", .. arguments]);

    /// <summary>The URI of an export.</summary>
    public string Uri(string export = "")
    {
        lock (_output) return _uris[export];
    }

    /// <summary>Where the banner says that the dashboard is.</summary>
    public string DashboardAddress => Output.Split('\n').Single(line => line.StartsWith("watch: ", StringComparison.Ordinal))["watch: ".Length..];

    /// <summary>The exports' names as the banner shows them.</summary>
    public IReadOnlyCollection<string> Exports
    {
        get { lock (_output) return [.. _uris.Keys]; }
    }

    /// <summary>Sends SIGTERM.</summary>
    public void SendTerminate() => Send(SigTerm);

    /// <summary>SIGTERM, then waits for the end.</summary>
    /// <returns>The exit code.</returns>
    public int Terminate()
    {
        Send(SigTerm);
        return WaitForEnd();
    }

    /// <summary>SIGINT, as Ctrl-C sends it, then waits for the end.</summary>
    /// <returns>The exit code.</returns>
    public int Interrupt()
    {
        Send(SigInt);
        return WaitForEnd();
    }

    /// <summary>Ends it by SIGTERM; it must exit with 0 and say that it closed cleanly.</summary>
    public void Close()
    {
        int exitCode = Terminate();
        Assert.True(exitCode == 0, $"sphost: exit {exitCode}\n{Output}{Errors}");
        Assert.Contains("closed cleanly", Output.Split('\n'));
    }

    /// <summary>SIGKILL: what a crash of the process leaves.</summary>
    public void Kill()
    {
        Send(SigKill);
        WaitForEnd();
    }

    /// <summary>Waits for the process's end.</summary>
    /// <returns>The exit code.</returns>
    public int WaitForEnd()
    {
        if (!_process.WaitForExit(s_endDeadline)) throw new TimeoutException($"sphost did not end\n{Output}{Errors}");
        _process.WaitForExit(); // and until its output is read
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit(s_endDeadline);
        }

        _process.Dispose();
        _ready.Dispose();
    }

    /// <summary>What the build wrote into this assembly.</summary>
    public static string Metadata(string key)
        => typeof(SphostProcess).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(attribute => attribute.Key == key).Value!;

    private static SphostProcess Start(string folder, string program, string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = folder };
        var process = new Process { StartInfo = start };
        var sphost = new SphostProcess(process);
        process.OutputDataReceived += (_, line) => sphost.TakeOutput(line.Data);
        process.ErrorDataReceived += (_, line) => sphost.TakeError(line.Data);
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        long deadline = Environment.TickCount64 + (long)s_startDeadline.TotalMilliseconds;
        while (!sphost._ready.Wait(20))
        {
            if (!process.HasExited && Environment.TickCount64 < deadline) continue;
            if (process.HasExited) process.WaitForExit();
            string text = $"sphost {string.Join(' ', arguments)} did not get ready\n{sphost.Output}{sphost.Errors}";
            sphost.Dispose();
            throw new InvalidOperationException(text);
        }

        return sphost;
    }

    private void TakeOutput(string? line)
    {
        if (line is null) return;
        lock (_output)
        {
            _output.Append(line).Append('\n');
            int uri = line.IndexOf(": nbd", StringComparison.Ordinal);
            if (line.StartsWith("export ", StringComparison.Ordinal) && uri > 0)
            {
                string name = line["export ".Length..uri];
                _uris[name == "(default)" ? "" : name] = line[(uri + 2)..];
            }
        }

        if (line.StartsWith(ReadyLine, StringComparison.Ordinal)) _ready.Set();
    }

    private void TakeError(string? line)
    {
        if (line is null) return;
        lock (_errors) _errors.Append(line).Append('\n');
    }

    private long StatusField(string name)
    {
        string line = File.ReadLines($"/proc/{Id}/status").First(l => l.StartsWith(name + ":", StringComparison.Ordinal));
        return long.Parse(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1]) << 10;
    }

    private void Send(int signal)
    {
        if (SendSignal(Id, signal) != 0) throw new InvalidOperationException($"kill({Id}, {signal}): {Marshal.GetLastPInvokeErrorMessage()}\n{Output}{Errors}");
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int SendSignal(int process, int signal);
}
