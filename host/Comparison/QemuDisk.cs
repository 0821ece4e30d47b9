using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;

namespace StoragePlugins.Host.Comparison;

/// <summary>A disk served by <c>qemu-nbd</c>, on a file or on an NBD export of ours.</summary>
/// <remarks>Without <c>--persistent</c>, qemu-nbd ends when its last client leaves, also when that is because this process was killed. <c>timeout(1)</c> ends
/// one that never had a client, and keeps Ctrl-C on the terminal from it: it is this process that ends it, in order.</remarks>
internal sealed class QemuDisk : IMeasuredDisk
{
    /// <summary>The most that a child may live: no run takes longer.</summary>
    public static readonly TimeSpan Lifetime = LoadDriver.RunLimit + TimeSpan.FromMinutes(5);

    // Those of the largest workload, and one that stays.
    private const string MaxClients = "--shared=32";

    private static readonly TimeSpan s_startLimit = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan s_endLimit = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly Task<string> _errors;
    private readonly string _socket;
    private readonly LocalDisk? _beneath;

    // Of all that QEMU did; closing our disk beneath it is not QEMU's.
    private StorageCounts? _final;

    private QemuDisk(Process process, string socket, LocalDisk? beneath)
    {
        _process = process;
        _socket = socket;
        _beneath = beneath;
        _errors = process.StandardError.ReadToEndAsync();
    }

    /// <inheritdoc/>
    public StorageCounts? Counts => _final ?? _beneath?.Counts;

    /// <summary>Starts qemu-nbd on a file, with the options that were measured in the field: write-back, threads.</summary>
    public static QemuDisk OnFile(QemuTools tools, string image, string format, string socket) => Start(tools, socket, ["-f", format, image], null);

    /// <summary>Starts qemu-nbd on a disk of ours, which counts what arrives; disposed with the new one.</summary>
    public static QemuDisk OnExport(QemuTools tools, LocalDisk beneath, string format, string socket)
    {
        try
        {
            string path = beneath.Socket.Replace(",", ",,", StringComparison.Ordinal);
            return Start(tools, socket, ["--image-opts", $"driver={format},file.driver=nbd,file.server.type=unix,file.server.path={path}"], beneath);
        }
        catch
        {
            beneath.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public NbdClient Connect()
    {
        for (long start = Stopwatch.GetTimestamp(); ;)
        {
            try
            {
                return NbdClient.Connect(_socket, "qemu-nbd", Workload.BlockBytes);
            }
            catch (SocketException failure)
            {
                // Not listening yet.
                if (_process.HasExited) throw Failed($"it ended: {_errors.Result.Trim().ReplaceLineEndings(" ")}", failure);
                if (Stopwatch.GetElapsedTime(start) > s_startLimit) throw Failed($"it did not listen within {s_startLimit.TotalSeconds:0} s", failure);
                Thread.Sleep(1);
            }
        }
    }

    /// <inheritdoc/>
    public void Close()
    {
        if (!_process.WaitForExit(s_endLimit)) throw Failed($"it did not end within {s_endLimit.TotalSeconds:0} s after its last client left", null);
        if (_process.ExitCode != 0) throw Failed($"exit code {_process.ExitCode}: {_errors.Result.Trim().ReplaceLineEndings(" ")}", null);
        _final = _beneath?.Counts;
        _beneath?.Close();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
            _process.WaitForExit(s_endLimit);
        }

        _process.Dispose();
        _beneath?.Dispose();
        File.Delete(_socket);
    }

    private static QemuDisk Start(QemuTools tools, string socket, string[] what, LocalDisk? beneath)
    {
        string[] arguments = ["--cache=writeback", "--aio=threads", MaxClients, "-k", socket, .. what];
        string program = tools.Nbd!;
        if (tools.Timeout is not null)
        {
            arguments = ["--kill-after=5", Lifetime.TotalSeconds.ToString("0", CultureInfo.InvariantCulture), program, .. arguments];
            program = tools.Timeout;
        }

        return new QemuDisk(Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!, socket, beneath);
    }

    private static DiagnosticException Failed(string what, Exception? inner)
        => new("SP4107", "the program failed", "qemu-nbd", found: what, fix: "try it by hand; leave QEMU out with --no-references", inner: inner);
}
