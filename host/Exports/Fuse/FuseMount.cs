using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using StoragePlugins.Media;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>How an unmount ended.</summary>
internal enum UnmountResult
{
    /// <summary>It is not mounted any more.</summary>
    Done = 0,

    /// <summary>Somebody uses it.</summary>
    Busy,

    /// <summary>It could not be unmounted.</summary>
    Failed,
}

/// <summary>
/// Mounting and unmounting: by mount(2) where this process may, otherwise by the set-user-id program fusermount3, which passes the
/// descriptor of the connection over a socket.
/// </summary>
internal static class FuseMount
{
    /// <summary>The kernel's door.</summary>
    public const string DevicePath = "/dev/fuse";

    /// <summary>What mounts of ours are called after "fuse.".</summary>
    public const string Subtype = "sphost";

    private const string Fusermount = "fusermount3";
    private const int NotPermitted = 1;

    /// <summary>An unmount by fusermount3 waits for pages to be written at most so long.</summary>
    private static readonly TimeSpan s_fusermountTimeout = TimeSpan.FromSeconds(60);

    private static bool IsRoot => UnixFile.EffectiveUserId == 0;

    /// <summary>Mounts.</summary>
    /// <param name="point">Where.</param>
    /// <param name="source">Shown as what is mounted.</param>
    /// <param name="options">How.</param>
    /// <returns>The connection's descriptor.</returns>
    /// <exception cref="DiagnosticException">SP4034: it could not be mounted.</exception>
    public static SafeFileHandle Mount(MountPoint point, string source, MountOptions options) =>
        IsRoot ? MountDirectly(point, options.SourceName ?? source, options) : MountByProgram(point, options.SourceName ?? source, options);

    /// <summary>Unmounts, where nobody uses it.</summary>
    public static UnmountResult Unmount(string path)
    {
        if (!IsRoot) return RunProgram("-u", "-q", "--", path).ExitCode == 0 ? UnmountResult.Done : MountTable.Find(path) is { IsOurs: true } ? UnmountResult.Busy : UnmountResult.Failed;
        if (FuseCalls.Unmount(path, 0) == 0) return UnmountResult.Done;
        return Marshal.GetLastPInvokeError() == Errno.Busy ? UnmountResult.Busy : UnmountResult.Failed;
    }

    /// <summary>Takes a mount out of sight, whoever uses it; who does gets errors from now on.</summary>
    public static UnmountResult Detach(string path)
    {
        if (!IsRoot) return RunProgram("-u", "-z", "-q", "--", path).ExitCode == 0 ? UnmountResult.Done : UnmountResult.Failed;
        // The force gives the connection up, so that nobody waits for an answer that does not come; busy as it is, it fails after that.
        _ = FuseCalls.Unmount(path, FuseCalls.UnmountForce);
        if (FuseCalls.Unmount(path, FuseCalls.UnmountDetach) == 0) return UnmountResult.Done;
        return MountTable.Find(path) is { IsOurs: true } ? UnmountResult.Failed : UnmountResult.Done;
    }

    private static SafeFileHandle MountDirectly(MountPoint point, string source, MountOptions options)
    {
        SafeFileHandle device = FuseCalls.Open(DevicePath, FuseCalls.OpenReadWrite | FuseCalls.OpenCloseOnExec);
        if (device.IsInvalid)
        {
            string reason = Libc.ErrorText(Marshal.GetLastPInvokeError());
            throw new DiagnosticException("SP4034", "the kernel's FUSE device cannot be opened", DevicePath, found: reason, fix: "load the module (modprobe fuse); in a container give it the device");
        }

        string data = options.Data((int)device.DangerousGetHandle(), UnixFile.EffectiveUserId, FuseCalls.EffectiveGroupId());
        if (FuseCalls.Mount(source, point.Path, "fuse." + Subtype, options.Flags, data) == 0) return device;
        int error = Marshal.GetLastPInvokeError();
        device.Dispose();
        throw new DiagnosticException("SP4034", "it could not be mounted", point.Path, found: Libc.ErrorText(error), fix: error == NotPermitted ? "mounting needs CAP_SYS_ADMIN, which containers often lack" : null);
    }

    private static unsafe SafeFileHandle MountByProgram(MountPoint point, string source, MountOptions options)
    {
        if (options.Devices || options.SetUserId) throw new DiagnosticException("SP4035", "only root may mount with device nodes or set-user-id programs", "-o", "neither dev nor suid");
        int* pair = stackalloc int[2];
        // The program inherits its end: no close-on-exec.
        if (FuseCalls.SocketPair(FuseCalls.UnixSockets, FuseCalls.Stream, 0, pair) != 0)
            throw new DiagnosticException("SP4034", "no socket for fusermount3 could be made", point.Path, found: Libc.ErrorText(Marshal.GetLastPInvokeError()));
        using var ours = new SafeFileHandle(pair[0], ownsHandle: true);
        Process program;
        using (var theirs = new SafeFileHandle(pair[1], ownsHandle: true))
        {
            var start = new ProcessStartInfo(Fusermount, ["-o", options.ForFusermount(source), "--", point.Path]) { RedirectStandardError = true };
            start.Environment["_FUSE_COMMFD"] = pair[1].ToString(CultureInfo.InvariantCulture);
            program = StartProgram(start);
        }

        using (program)
        {
            SafeFileHandle? device = ReceiveDescriptor(ours);
            string complaint = program.StandardError.ReadToEnd().Trim();
            program.WaitForExit();
            if (device is not null && program.ExitCode == 0) return device;
            device?.Dispose();
            throw new DiagnosticException("SP4034", "it could not be mounted", point.Path, found: complaint.Length > 0 ? complaint : $"{Fusermount} ended with {program.ExitCode}");
        }
    }

    private static unsafe SafeFileHandle? ReceiveDescriptor(SafeFileHandle socket)
    {
        byte payload;
        var vector = new FuseCalls.IoVector { Base = &payload, Length = 1 };
        FuseCalls.DescriptorMessage control = default;
        var message = new FuseCalls.MessageHeader { Vectors = &vector, VectorCount = 1, Control = &control, ControlLength = (nuint)sizeof(FuseCalls.DescriptorMessage) };
        nint received;
        do received = FuseCalls.ReceiveMessage(socket, &message, FuseCalls.OpenCloseOnExecMessage);
        while (received < 0 && Marshal.GetLastPInvokeError() == Errno.Interrupted);
        bool hasDescriptor = received > 0 && control.Length == FuseCalls.DescriptorMessage.FilledBytes
            && control is { Level: FuseCalls.DescriptorMessage.SocketLevel, Type: FuseCalls.DescriptorMessage.RightsType };
        return hasDescriptor ? new SafeFileHandle(control.Descriptor, ownsHandle: true) : null;
    }

    private static (int ExitCode, string Errors) RunProgram(params string[] arguments)
    {
        using Process program = StartProgram(new ProcessStartInfo(Fusermount, arguments) { RedirectStandardError = true });
        Task<string> errors = program.StandardError.ReadToEndAsync();
        if (!program.WaitForExit(s_fusermountTimeout))
        {
            program.Kill();
            program.WaitForExit();
        }

        return (program.ExitCode, errors.Result);
    }

    private static Process StartProgram(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception missing)
        {
            throw new DiagnosticException("SP4034", "ordinary users need the program fusermount3", found: missing.Message, fix: "install it (package fuse3), or mount as root", inner: missing);
        }
    }
}
