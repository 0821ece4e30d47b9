using System.Diagnostics;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>A running qemu-nbd, the peer that holds images and serves them for comparison. Disposing kills it.</summary>
internal sealed class QemuNbd : IDisposable
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(30);

    private readonly Process _process;

    private QemuNbd(Process process, string socket)
    {
        _process = process;
        Uri = $"nbd+unix:///?socket={socket}";
    }

    /// <summary>Where it serves.</summary>
    public string Uri { get; }

    /// <summary>Serves an image and waits until clients can connect.</summary>
    public static QemuNbd Serve(string folder, string image, params string[] options)
    {
        string socket = Path.Combine(folder, "qemu-nbd.sock");
        File.Delete(socket);
        string[] arguments = ["--persistent", "--shared=16", "-f", Qemu.FormatOf(image), "-k", socket, .. options, image];
        Process process = Process.Start(new ProcessStartInfo("qemu-nbd", arguments) { RedirectStandardError = true })!;
        var watch = Stopwatch.StartNew();
        while (!File.Exists(socket))
        {
            Assert.False(process.HasExited, process.HasExited ? process.StandardError.ReadToEnd() : "");
            Assert.True(watch.Elapsed < s_deadline, "qemu-nbd did not start");
            Thread.Sleep(10);
        }

        return new QemuNbd(process, socket);
    }

    /// <summary>SIGKILL.</summary>
    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit(s_deadline);
        _process.Dispose();
    }
}
