using System.Diagnostics;
using System.Text;
using System.Threading.Channels;

namespace StoragePlugins.CrashKit.Tests.QemuLogs;

/// <summary>A running qemu-io that takes one command after the other; each has been carried out when <see cref="Do"/> returns.</summary>
internal sealed class QemuIoSession : IDisposable
{
    private const string Prompt = "qemu-io> ";

    // A program that hangs must fail its test, not the whole run.
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly Channel<char> _output = Channel.CreateUnbounded<char>();
    private readonly Task _reading;
    private readonly Task<string> _errors;

    public QemuIoSession(params string[] arguments)
    {
        _process = Process.Start(new ProcessStartInfo("qemu-io", arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;
        _errors = _process.StandardError.ReadToEndAsync();
        _reading = Task.Run(async () =>
        {
            char[] buffer = new char[4096];
            for (int got; (got = await _process.StandardOutput.ReadAsync(buffer)) > 0;)
                foreach (char c in buffer.AsSpan(0, got)) _output.Writer.TryWrite(c);
            _output.Writer.Complete();
        });
        UntilPrompt();
    }

    /// <summary>Carries a command out.</summary>
    public void Do(string command)
    {
        _process.StandardInput.WriteLine(command);
        string answer = UntilPrompt();
        bool failed = new[] { "failed", "invalid", "bad argument", "not found", "error" }.Any(word => answer.Contains(word, StringComparison.OrdinalIgnoreCase));
        Assert.False(failed, $"{command}: {answer}");
    }

    /// <summary>Ends it in good order: QEMU closes the image.</summary>
    public void Quit()
    {
        _process.StandardInput.WriteLine("quit");
        Assert.True(_process.WaitForExit(s_deadline), "qemu-io did not end");
        Assert.True(_process.ExitCode == 0, _errors.Result);
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        _process.WaitForExit();
        _reading.Wait();
        _process.Dispose();
    }

    private string UntilPrompt()
    {
        var text = new StringBuilder();
        using var deadline = new CancellationTokenSource(s_deadline);
        while (!text.ToString().EndsWith(Prompt, StringComparison.Ordinal))
        {
            ValueTask<char> next = _output.Reader.ReadAsync(deadline.Token);
            try
            {
                text.Append(next.AsTask().GetAwaiter().GetResult());
            }
            catch (ChannelClosedException)
            {
                Assert.Fail($"qemu-io ended: {text} {_errors.Result}");
            }
        }

        return text.ToString();
    }
}
