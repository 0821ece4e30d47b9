using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using StoragePlugins.Host.Evaluation.Children;

namespace StoragePlugins.Host.Evaluation.VirtualMachine;

/// <summary>A virtual machine that runs commands. Its disk is mounted while it runs. Used by one thread.</summary>
/// <remarks>One processor: what is measured is one writer's wait for its disk. Disposing without <see cref="PowerOff"/> pulls the plug.</remarks>
internal sealed class GuestMachine : IDisposable
{
    /// <summary>The program.</summary>
    public const string Program = "qemu-system-x86_64";

    /// <summary>Room for the initramfs twice (packed and unpacked) and a page cache.</summary>
    private const int MemoryMiB = 768;

    // Three seconds under emulation, more on a machine that does other things. One that takes longer hangs, as KVM guests do on some hosts.
    private static readonly TimeSpan s_bootLimit = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan s_shortLimit = TimeSpan.FromSeconds(60);

    private readonly ServerProcess _process;
    private readonly Socket _control;
    private readonly NetworkStream _stream;
    private readonly StreamReader _lines;
    private readonly string _console;
    private readonly string _accelerator;
    private int _commands;

    private GuestMachine(ServerProcess process, Socket control, string console, string accelerator)
    {
        (_process, _control, _console, _accelerator) = (process, control, console, accelerator);
        _stream = new NetworkStream(control, ownsSocket: true);
        _lines = new StreamReader(_stream, Encoding.ASCII);
    }

    /// <summary>Boots it, makes ext4 on its disk and mounts that.</summary>
    /// <param name="system">What it boots.</param>
    /// <param name="disk">QEMU's <c>--blockdev</c> arguments, of which the last is the node <c>disk</c>.</param>
    /// <param name="folder">For the console's log.</param>
    /// <param name="socket">For commands; does not exist.</param>
    /// <param name="cancel">Ends it.</param>
    /// <exception cref="DiagnosticException">SP4222: it does not start. SP4223: its file system cannot be made.</exception>
    public static GuestMachine Boot(GuestSystem system, IReadOnlyList<string> disk, string folder, string socket, CancellationToken cancel)
    {
        string console = Path.Combine(folder, "console.log");
        ServerProcess process = ServerProcess.Start(Program, [.. Arguments(system, console, socket), .. disk.SelectMany(each => (string[])["-blockdev", each]), "-device", "virtio-blk-pci,drive=disk,write-cache=on"]);
        GuestMachine? machine = null;
        try
        {
            // It waits for its control connection before it starts.
            process.WaitUntil(_ => File.Exists(socket), cancel);
            machine = new GuestMachine(process, Connect(socket), console, system.Accelerator);
            machine.Read(line => line == GuestScript.Ready, command: null, s_bootLimit, cancel);
            // As in the guest file system on a loop device: nothing goes on in the background.
            machine.Run($"{GuestScript.ProgramFolder}/mke2fs -q -t ext4 -F -E lazy_itable_init=1,lazy_journal_init=1,nodiscard {GuestScript.Disk}", s_shortLimit, cancel);
            machine.Run($"mount -t ext4 -o noinit_itable {GuestScript.Disk} {GuestScript.MountPoint}", s_shortLimit, cancel);
            return machine;
        }
        catch
        {
            if (machine is not null) machine.Dispose();
            else process.Dispose();
            throw;
        }
    }

    /// <summary>Runs a command in the guest's shell.</summary>
    /// <param name="command">One or several lines.</param>
    /// <param name="limit">Beyond it the command hangs.</param>
    /// <param name="cancel">Ends it; the machine is of no use afterwards.</param>
    /// <exception cref="DiagnosticException">SP4223: it failed, or the machine did.</exception>
    public GuestAnswer Run(string command, TimeSpan limit, CancellationToken cancel)
    {
        int number = ++_commands;
        _stream.Write(Encoding.ASCII.GetBytes($"{number} {Convert.ToBase64String(Encoding.UTF8.GetBytes(command + '\n'))}\n"));
        string prefix = $"done {number} ";
        string[] answer = Read(line => line.StartsWith(prefix, StringComparison.Ordinal), command, limit, cancel).Split(' ');
        string output = answer.Length > 4 ? Encoding.UTF8.GetString(Convert.FromBase64String(answer[4])) : "";
        if (answer[2] != "0") throw CommandFailed(command, $"exit code {answer[2]}: {output.Trim().Split('\n')[^1].Trim()}");
        return new GuestAnswer(output, TimeSpan.FromMicroseconds(long.Parse(answer[3], CultureInfo.InvariantCulture) / 1e3));
    }

    /// <summary>Unmounts the disk and ends the machine.</summary>
    public void PowerOff(CancellationToken cancel)
    {
        Run($"umount {GuestScript.MountPoint}", s_shortLimit, cancel);
        _process.Stop();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _lines.Dispose();
        _control.Dispose();
        _process.Dispose();
    }

    private static string[] Arguments(GuestSystem system, string console, string socket) =>
    [
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-machine", $"q35,accel={system.Accelerator}", "-cpu", "max", "-smp", "1", "-m", $"{MemoryMiB}M",
        "-kernel", system.Kernel.Image, "-initrd", system.Initramfs, "-append", "console=ttyS0 quiet panic=-1",
        "-chardev", $"file,id=console,path={Escape(console)}", "-serial", "chardev:console",
        "-chardev", $"socket,id=control,path={Escape(socket)},server=on,wait=on", "-serial", "chardev:control",
    ];

    private static string Escape(string path) => path.Replace(",", ",,", StringComparison.Ordinal);

    private static Socket Connect(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            for (long start = Stopwatch.GetTimestamp(); ; Thread.Sleep(1))
            {
                try
                {
                    socket.Connect(new UnixDomainSocketEndPoint(path));
                    return socket;
                }
                catch (SocketException) when (Stopwatch.GetElapsedTime(start) < s_shortLimit)
                {
                    // It is bound and not yet listening.
                }
            }
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Reads lines until one is the answer.</summary>
    private string Read(Func<string, bool> isAnswer, string? command, TimeSpan limit, CancellationToken cancel)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        ended.CancelAfter(limit);
        try
        {
            while (_lines.ReadLineAsync(ended.Token).AsTask().GetAwaiter().GetResult() is { } line)
            {
                if (isAnswer(line.Trim())) return line.Trim();
            }

            throw Failed(command, "it ended");
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw Failed(command, $"no answer within {limit.TotalSeconds:0} s");
        }
        catch (IOException broken)
        {
            throw Failed(command, broken.Message);
        }
    }

    private DiagnosticException Failed(string? command, string found) => command is null
        ? new DiagnosticException("SP4222", "the virtual machine does not start", $"{Program}, accel={_accelerator}", found: $"{found}; {LastWords()}",
            fix: _accelerator == GuestSystem.Kvm ? $"leave --accel away: {GuestSystem.Emulation} works everywhere" : "try another kernel with --kernel; leave it out with --place")
        : CommandFailed(command, $"{found}; {LastWords()}");

    private static DiagnosticException CommandFailed(string command, string found) => new(
        "SP4223", "a command failed in the virtual machine", command.ReplaceLineEndings("; "), found: found, fix: "leave it out with --place or --workload");

    private string LastWords()
    {
        // That it waits for the control connection is no error.
        string[] errors = [.. _process.Errors.Split('\n').Where(line => line.Length > 0 && !line.Contains(": info: ", StringComparison.Ordinal))];
        string console = File.Exists(_console) ? File.ReadAllText(_console).Trim() : "";
        return errors.Length > 0 ? errors[^1] : console.Length > 0 ? $"last on its console: {console.Split('\n')[^1].Trim()}" : "nothing on its console";
    }
}

/// <summary>What a command in the guest did.</summary>
/// <param name="Output">Of both kinds; the end of it where it is long.</param>
/// <param name="Time">By the guest's clock.</param>
internal sealed record GuestAnswer(string Output, TimeSpan Time);
