using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using StoragePlugins;

namespace Samples.DsyncOrdering;

/// <summary>
/// Writes to a descriptor that is not ours as if it had been opened with <c>O_DSYNC</c>: <c>pwritev2(2)</c> with <c>RWF_DSYNC</c> says so for one
/// call, and leaves the descriptor's flags alone, as the contract of <see cref="IFileMedium"/> asks.
/// </summary>
internal sealed unsafe partial class SynchronousFile(SafeFileHandle file, string name, StorageMeter meter)
{
    private const int RwfDsync = 2; // include/uapi/linux/fs.h

    private const int EIntr = 4;

    /// <summary>Writes all of <paramref name="data"/>, durably.</summary>
    /// <exception cref="DurabilityLostException">
    /// Whatever failed. The kernel does not say whether it was the write or the sync after it; a sync that failed must not be taken for a write that can be repeated.
    /// </exception>
    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        fixed (byte* start = data)
        {
            int done = 0;
            while (done < data.Length)
            {
                var vector = new IoVector { Base = start + done, Length = data.Length - done };
                nint written = PWriteV2(file, &vector, 1, offset + done, RwfDsync);
                if (written > 0)
                {
                    done += (int)written;
                    continue;
                }

                int error = Marshal.GetLastPInvokeError();
                if (written < 0 && error == EIntr) continue;
                string reason = written == 0 ? "nothing was written" : Marshal.GetPInvokeErrorMessage(error);
                throw new DurabilityLostException("synchronous write", name, $"{data.Length} bytes at {offset}: {reason}");
            }
        }

        // One request, and the wait for the device that a flush would have been.
        meter.CountHostWrite(content, data.Length);
        meter.CountHostFlush();
    }

    [LibraryImport("libc", EntryPoint = "pwritev2", SetLastError = true)]
    private static partial nint PWriteV2(SafeFileHandle file, IoVector* vectors, int count, long offset, int flags);

    [StructLayout(LayoutKind.Sequential)]
    private struct IoVector
    {
        public byte* Base;
        public nint Length;
    }
}
