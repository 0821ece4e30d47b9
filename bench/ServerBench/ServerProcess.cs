using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text.Json;

namespace StoragePlugins.ServerBench;

/// <summary>A kind of server: how to start it on an image and a socket.</summary>
/// <param name="Name">As shown.</param>
/// <param name="CommandLine">Program and arguments for an image, its format and a socket.</param>
/// <param name="IsOurs">Its memory is reported.</param>
internal sealed record ServerKind(string Name, Func<string, string, string, string[]> CommandLine, bool IsOurs = false)
{
    public static ServerKind QemuNbd { get; } =
        new("qemu-nbd", (image, format, socket) => ["qemu-nbd", "-f", format, "-k", socket, "-t", "-x", "", image]);

    public static ServerKind NbdkitFile { get; } =
        new("nbdkit-file", (image, _, socket) => ["nbdkit", "-f", "-U", socket, "file", image]);

    /// <summary>This repository's server over a bare file, without blocking; or, as a comparison, with every request on a worker.</summary>
    public static ServerKind Bare(bool nonBlocking) => new(
        nonBlocking ? "bare" : "bare-workers",
        (image, _, socket) => [Environment.ProcessPath!, BareServer.Verb, image, socket, nonBlocking ? "inline" : "workers"],
        IsOurs: true);

    /// <summary>The product. Its pipelines are named as the formats are, with the default one for qcow2.</summary>
    public static ServerKind Sphost(string program, string qcow2Pipeline) => new(
        "sphost",
        (image, format, socket) => [program, "serve", image, "--pipeline", format == "raw" ? "raw" : qcow2Pipeline, "--socket", socket],
        IsOurs: true);
}

/// <summary>A running server.</summary>
internal sealed class ServerProcess : IDisposable
{
    private static readonly TimeSpan s_startTimeout = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan s_stopTimeout = TimeSpan.FromSeconds(20);

    private readonly Process _process;
    private readonly Task<string> _output;
    private readonly Task<string> _errors;

    private ServerProcess(Process process)
    {
        _process = process;
        _output = process.StandardOutput.ReadToEndAsync();
        _errors = process.StandardError.ReadToEndAsync();
    }

    /// <summary>Starts a server and waits until it takes connections.</summary>
    public static ServerProcess Start(ServerKind kind, string image, string format, string socket)
    {
        File.Delete(socket);
        string[] command = kind.CommandLine(image, format, socket);
        var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        // sphost then says at its end what it allocated.
        start.Environment["STORAGEPLUGINS_TRACE"] = "1";
        var server = new ServerProcess(Process.Start(start)!);
        long began = Stopwatch.GetTimestamp();
        while (!IsListening(socket))
        {
            if (server._process.HasExited || Stopwatch.GetElapsedTime(began) > s_startTimeout)
            {
                server.Stop();
                throw new InvalidOperationException($"{kind.Name} did not start: {string.Join(' ', command)}: {server._errors.Result.Trim()}");
            }

            Thread.Sleep(20);
        }

        return server;
    }

    /// <summary>Resident memory in bytes.</summary>
    public long ResidentBytes()
    {
        string line = File.ReadLines($"/proc/{_process.Id}/status").First(line => line.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
    }

    /// <summary>Ends it: the end of its input for the bare server, SIGTERM for all.</summary>
    /// <returns>Our servers' costs.</returns>
    public ServerCosts? Stop()
    {
        _process.StandardInput.Close();
        bool isBare = _process.StartInfo.ArgumentList is [BareServer.Verb, ..];
        if (!_process.HasExited && !isBare) Process.Start("kill", ["-TERM", _process.Id.ToString(CultureInfo.InvariantCulture)])!.WaitForExit();
        if (!_process.WaitForExit(s_stopTimeout)) _process.Kill();
        _process.WaitForExit();
        if (_process.ExitCode != 0) return null;
        return isBare ? JsonSerializer.Deserialize<ServerCosts>(_output.Result) : CostsOfSphost(_output.Result);
    }

    // "allocated 123 bytes for 456 requests"
    private static ServerCosts? CostsOfSphost(string output)
    {
        string[]? words = output.Split('\n').FirstOrDefault(line => line.StartsWith("allocated ", StringComparison.Ordinal))?.Split(' ');
        return words is null ? null : new ServerCosts(long.Parse(words[1], CultureInfo.InvariantCulture), long.Parse(words[4], CultureInfo.InvariantCulture));
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill();
        _process.Dispose();
    }

    private static bool IsListening(string path)
    {
        if (!File.Exists(path)) return false;
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
