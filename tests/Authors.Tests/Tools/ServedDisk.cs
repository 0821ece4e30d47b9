using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace StoragePlugins.Authors.Tests;

/// <summary>A running <c>sphost serve</c> with one disk; ended by SIGTERM, or killed when the test failed before.</summary>
internal sealed partial class ServedDisk : IDisposable
{
    private const int SigTerm = 15;

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly Task<string> _errors;
    private readonly StringBuilder _banner = new();

    /// <summary>Starts it and waits until clients can connect.</summary>
    public ServedDisk(Shell shell, string folder, string command)
    {
        _process = shell.Start(folder, command);
        _errors = _process.StandardError.ReadToEndAsync();
        string? line;
        do
        {
            Task<string?> reading = _process.StandardOutput.ReadLineAsync();
            Assert.True(reading.Wait(s_deadline), $"'{command}' says nothing");
            line = reading.Result;
            if (line is null) Assert.Fail($"'{command}' ended: {_banner}{_errors.Result}");
            _banner.Append(line).Append('\n');
        }
        while (!line.StartsWith("stop: ", StringComparison.Ordinal));
        Uri = _banner.ToString().Split('\n').Where(text => text.Contains("nbd+unix:", StringComparison.Ordinal)).Select(text => text[text.IndexOf("nbd+unix:", StringComparison.Ordinal)..].Trim()).First();
    }

    /// <summary>Where the disk is.</summary>
    public string Uri { get; }

    /// <summary>Ends it as a service manager would; it must end well.</summary>
    public void Stop()
    {
        Assert.Equal(0, Kill(_process.Id, SigTerm));
        Assert.True(_process.WaitForExit(s_deadline), "sphost did not end");
        if (_process.ExitCode != 0) Assert.Fail($"sphost: exit {_process.ExitCode}\n{_banner}{_errors.Result}");
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill();
        _process.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);
}
