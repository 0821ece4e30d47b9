using System.Runtime.InteropServices;

namespace StoragePlugins.PmJournal.Region;

/// <summary>Makes the names in a folder durable: without it a new journal file may not be found again after a power cut.</summary>
internal static partial class DirectorySync
{
    private const int DirectoryCloseOnExec = 0x10000 | 0x80000; // O_DIRECTORY | O_CLOEXEC

    /// <exception cref="DurabilityLostException">It failed.</exception>
    public static void Flush(string folder)
    {
        int descriptor = Open(folder, DirectoryCloseOnExec);
        int error = descriptor < 0 ? Marshal.GetLastPInvokeError() : 0;
        if (descriptor >= 0)
        {
            if (Sync(descriptor) != 0) error = Marshal.GetLastPInvokeError();
            _ = Close(descriptor);
        }

        if (error != 0) throw new DurabilityLostException("fsync of a folder", folder, Marshal.GetPInvokeErrorMessage(error));
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Sync(int descriptor);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
