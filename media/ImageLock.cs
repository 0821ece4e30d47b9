using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Media;

/// <summary>
/// Locks an image against other users in QEMU's way, so that QEMU, its tools and this host keep out of each other's images.
/// </summary>
/// <remarks>
/// QEMU's file driver holds open-file-description read locks on single bytes: 100 + p for each permission p that it uses, 200 + p for each that
/// it does not share. It takes its own first and then asks whether anybody holds a conflicting one (block/file-posix.c,
/// "RAW_LOCK_PERM_BASE"). The locks go with the descriptor.
/// </remarks>
internal static unsafe class ImageLock
{
    private const int UsedBase = 100;
    private const int UnsharedBase = 200;
    private const int ConsistentRead = 0;
    private const int Write = 1;
    private const int Resize = 3;

    private static ReadOnlySpan<int> WriterUses => [ConsistentRead, Write, Resize];

    private static ReadOnlySpan<int> ReaderUses => [ConsistentRead];

    private static ReadOnlySpan<int> NotShared => [Write, Resize];

    /// <summary>Takes the locks of a reader or a writer.</summary>
    /// <exception cref="DiagnosticException">SP3020: somebody else has the image.</exception>
    public static void Take(SafeFileHandle file, string path, bool forWriting)
    {
        ReadOnlySpan<int> uses = forWriting ? WriterUses : ReaderUses;
        foreach (int permission in uses) Hold(file, path, UsedBase + permission);
        foreach (int permission in NotShared) Hold(file, path, UnsharedBase + permission);
        foreach (int permission in uses) Refuse(file, path, UnsharedBase + permission);
        foreach (int permission in NotShared) Refuse(file, path, UsedBase + permission);
    }

    private static void Hold(SafeFileHandle file, string path, int position)
    {
        var request = new Libc.FileLock { Type = Libc.ReadLock, Start = position, Length = 1 };
        if (Control(file, Libc.OfdSetLock, Libc.ProcessSetLock, &request) != 0) throw InUse(path, Libc.ErrorText(Marshal.GetLastPInvokeError()));
    }

    private static void Refuse(SafeFileHandle file, string path, int position)
    {
        var question = new Libc.FileLock { Type = Libc.WriteLock, Start = position, Length = 1 };
        if (Control(file, Libc.OfdGetLock, Libc.ProcessGetLock, &question) != 0) throw InUse(path, Libc.ErrorText(Marshal.GetLastPInvokeError()));
        if (question.Type == Libc.NoLock) return;
        throw InUse(path, (position % 100) switch { Write => "another process writes it or forbids writing", _ => "another process holds it" });
    }

    // Linux before 3.15 has the process's locks only, which QEMU takes there too; they end when any descriptor of the file is closed.
    private static int Control(SafeFileHandle file, int command, int commandBefore315, Libc.FileLock* argument)
    {
        int result = Libc.FCntl(file, command, argument);
        return result != 0 && Marshal.GetLastPInvokeError() == Libc.EInval ? Libc.FCntl(file, commandBefore315, argument) : result;
    }

    private static DiagnosticException InUse(string path, string found) => new(
        "SP3020", "the image is in use by another process", path, found: found, fix: "stop that process (QEMU, qemu-nbd, sphost), or open the image read-only where it allows that");
}
