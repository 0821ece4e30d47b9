using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Media;

/// <summary>The kernel's asynchronous I/O, as far as writes need it: io_setup(2), io_submit(2), io_getevents(2), io_destroy(2). No library of C has them.</summary>
/// <remarks>Thread-safe as the calls are. Asynchronous only for files that were opened with O_DIRECT, into space that is allocated; elsewhere a submission waits.</remarks>
internal sealed unsafe partial class KernelAio : IDisposable
{
    /// <summary>Writes at a time.</summary>
    public const int MaxBatch = 8;

    private const ushort WriteCommand = 1; // IOCB_CMD_PWRITE

    // The tables of the kernel: arch/x86/entry/syscalls/syscall_64.tbl, and include/uapi/asm-generic/unistd.h for the others.
    private static readonly (int Setup, int Destroy, int GetEvents, int Submit)? s_numbers = RuntimeInformation.ProcessArchitecture switch
    {
        Architecture.X64 => (206, 207, 208, 209),
        Architecture.Arm64 => (0, 1, 4, 2),
        _ => null,
    };

    private nint _context;

    private KernelAio(nint context) => _context = context;

    /// <summary>A context for so many requests under way.</summary>
    /// <returns>Null where there is none to be had: another architecture, a kernel without it, the system's limit (fs.aio-max-nr).</returns>
    public static KernelAio? TryCreate(int requests)
    {
        if (s_numbers is not { } numbers) return null;
        nint context = 0;
        return Call(numbers.Setup, requests, (nint)(&context), 0, 0, 0) == 0 ? new KernelAio(context) : null;
    }

    /// <summary>Begins with writes, in order; the device is told of them at once.</summary>
    /// <param name="file">Open with O_DIRECT.</param>
    /// <param name="writes">Up to <see cref="MaxBatch"/>.</param>
    /// <param name="error">The errno with which the first one was refused that was not begun; 0 when there is none.</param>
    /// <returns>How many were begun.</returns>
    public int Submit(SafeFileHandle file, ReadOnlySpan<Write> writes, out int error)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(writes.Length, MaxBatch);
        bool held = false;
        try
        {
            file.DangerousAddRef(ref held);
            Request* requests = stackalloc Request[MaxBatch];
            Request** pointers = stackalloc Request*[MaxBatch];
            for (int i = 0; i < writes.Length; i++)
            {
                Write write = writes[i];
                requests[i] = new Request
                {
                    Tag = (ulong)write.Tag, Command = WriteCommand, Descriptor = (uint)file.DangerousGetHandle(), Buffer = (ulong)write.Buffer, Bytes = (ulong)write.Bytes, Offset = write.Offset,
                };
                pointers[i] = &requests[i];
            }

            int begun = 0;
            error = 0;
            while (begun < writes.Length && error == 0)
            {
                nint more = Call(s_numbers!.Value.Submit, _context, writes.Length - begun, (nint)(pointers + begun), 0, 0);
                if (more > 0) begun += (int)more;
                else error = more < 0 ? Marshal.GetLastPInvokeError() : Libc.EAgain;
            }

            return begun;
        }
        finally
        {
            if (held) file.DangerousRelease();
        }
    }

    /// <summary>Takes completions.</summary>
    /// <param name="completions">Filled from the front.</param>
    /// <param name="wait">Wait for one at least.</param>
    /// <param name="error">The errno, when none came where one must; a signal is none.</param>
    /// <returns>How many; 0 with an error.</returns>
    public int Take(Span<Completion> completions, bool wait, out int error)
    {
        TimeSpec now = default;
        fixed (Completion* first = completions)
        {
            nint got;
            do
            {
                got = Call(s_numbers!.Value.GetEvents, _context, wait ? 1 : 0, completions.Length, (nint)first, wait ? 0 : (nint)(&now));
                error = got >= 0 ? 0 : Marshal.GetLastPInvokeError();
            }
            while (error == Libc.EIntr);

            return (int)Math.Max(got, 0);
        }
    }

    /// <summary>Ends it; waits for what is under way.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _context, 0) is not 0 and nint context) _ = Call(s_numbers!.Value.Destroy, context, 0, 0, 0, 0);
    }

    // long syscall(long number, ...): a variadic function that is given integers alone is called like any other on Linux.
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint Call(nint number, nint first, nint second, nint third, nint fourth, nint fifth);

    /// <summary>A write.</summary>
    /// <param name="Buffer">Left alone until the write has completed.</param>
    /// <param name="Bytes">1 or more.</param>
    /// <param name="Offset">Where.</param>
    /// <param name="Tag">Comes back with the completion.</param>
    public readonly record struct Write(nint Buffer, int Bytes, long Offset, int Tag);

    /// <summary>struct io_event.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public readonly struct Completion
    {
        private readonly ulong _tag;
        private readonly ulong _request;
        private readonly long _result;
        private readonly long _result2;

        /// <summary>As it was submitted.</summary>
        public int Tag => (int)_tag;

        /// <summary>Bytes written, or an errno below zero.</summary>
        public long Result => _result;
    }

    /// <summary>struct timespec.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }

    /// <summary>struct iocb of a little-endian machine.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Request
    {
        public ulong Tag;
        public uint Key;
        public int ReadWriteFlags;
        public ushort Command;
        public short Priority;
        public uint Descriptor;
        public ulong Buffer;
        public ulong Bytes;
        public long Offset;
        public ulong Reserved;
        public uint Flags;
        public uint EventDescriptor;
    }
}
