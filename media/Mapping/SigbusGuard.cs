using System.Runtime.InteropServices;

namespace StoragePlugins.Media.Mapping;

/// <summary>
/// Turns SIGBUS in a registered range into a flag. A store beyond the end of a shrunk file, a full file system under a hole, a media error: the
/// kernel answers all of them with a signal that would end the process.
/// </summary>
/// <remarks>The handler stands before the runtime's, is installed with the first mapping and stays. It replaces the page that faulted by one of zeros,
/// so that the access can go on; whoever accessed it asks <see cref="Range.IsLost"/>. Registration takes a lock; the question is one load.</remarks>
internal static unsafe class SigbusGuard
{
    private static readonly Lock s_registration = new();
    private static MachineCode.Slot* s_table;
    private static MachineCode.Entries s_code;

    /// <summary>A registered range.</summary>
    internal readonly struct Range(MachineCode.Slot* slot)
    {
        /// <summary>True for ever once a page of the range was lost.</summary>
        public bool IsLost => Volatile.Read(ref slot->Lost) != 0;

        /// <summary>Ends the registration. The range must not be accessed any more.</summary>
        public void Release() => Volatile.Write(ref slot->End, 0);
    }

    /// <summary>Code that starts the write-back of cache lines: address of the first, count.</summary>
    public static delegate* unmanaged[SuppressGCTransition]<nint, nint, void> WriteBackLines =>
        (delegate* unmanaged[SuppressGCTransition]<nint, nint, void>)s_code.WriteBack;

    /// <summary>Whether this processor and system are supported.</summary>
    public static bool IsSupported => OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64;

    /// <summary>Guards a range from now on.</summary>
    /// <exception cref="DiagnosticException">SP5024 on an unsupported machine, SP5026 when all slots are taken.</exception>
    public static Range Register(nint start, nint length, nint pageBytes)
    {
        lock (s_registration)
        {
            if (s_table == null) Install();
            for (int i = 0; i < MachineCode.Slots; i++)
            {
                MachineCode.Slot* slot = s_table + i;
                if (slot->End != 0) continue;
                slot->Lost = 0;
                slot->PageBytes = pageBytes;
                slot->Start = start;
                // The handler believes a slot from the moment that it has an end.
                Volatile.Write(ref slot->End, start + length);
                return new Range(slot);
            }
        }

        throw new DiagnosticException("SP5026", $"more than {MachineCode.Slots} mappings of persistent memory at once", fix: "serve fewer images in one process");
    }

    /// <exception cref="DiagnosticException">SP5024.</exception>
    public static void ThrowIfUnsupported()
    {
        if (IsSupported) return;
        throw new DiagnosticException(
            "SP5024", "persistent memory cannot be used here", expected: "Linux on x86-64", found: $"{RuntimeInformation.OSDescription} on {RuntimeInformation.ProcessArchitecture}",
            fix: "use another pipeline on this machine");
    }

    private static void Install()
    {
        ThrowIfUnsupported();
        MappingCalls.SignalActionData action;
        if (MappingCalls.SignalAction(MappingCalls.SigBus, null, &action) != 0) throw CannotInstall(Libc.ErrorText(Marshal.GetLastPInvokeError()));
        // 0 and 1 are SIG_DFL and SIG_IGN: nothing to go on to. The runtime always has a handler of its own.
        if (action.Handler is 0 or 1) throw CannotInstall("the runtime has no SIGBUS handler");
        var table = (MachineCode.Slot*)NativeMemory.AllocZeroed(MachineCode.Slots, (nuint)sizeof(MachineCode.Slot));
        s_code = MachineCode.Emit(table, action.Handler);
        // Mask and flags stay the runtime's: its handler, when we go on to it, runs under what it asked for.
        action.Handler = s_code.Handler;
        if (MappingCalls.SignalAction(MappingCalls.SigBus, &action, null) != 0) throw CannotInstall(Libc.ErrorText(Marshal.GetLastPInvokeError()));
        s_table = table;
    }

    private static DiagnosticException CannotInstall(string reason) => new(
        "SP5024", "persistent memory cannot be used here: the SIGBUS handler cannot be installed", found: reason, fix: "use another pipeline");
}
