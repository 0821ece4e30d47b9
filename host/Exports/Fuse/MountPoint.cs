using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>A directory that a file system can be mounted on.</summary>
/// <param name="Path">As the kernel calls it: absolute, without symbolic links.</param>
internal sealed record MountPoint(string Path)
{
    private const int MaxPathBytes = 4096;

    /// <summary>Checks a directory. A dead mount of ours on it, which a host that was killed leaves behind, is taken away.</summary>
    /// <param name="path">As given.</param>
    /// <param name="mayHaveEntries">It need not be empty.</param>
    /// <param name="logger">Is told of a dead mount.</param>
    /// <exception cref="DiagnosticException">SP4030 to SP4033: it cannot be mounted on.</exception>
    public static MountPoint Prepare(string path, bool mayHaveEntries, ILogger logger)
    {
        int error = Resolve(path, out string resolved);
        if (error == Errno.NotConnected)
        {
            if (MountTable.Find(resolved) is not { IsOurs: true } dead)
                throw new DiagnosticException("SP4033", "a file system without its server is mounted there, and it is not ours", path, fix: "unmount it first: fusermount3 -u, or umount as root");
            logger.LogInformation("{Path}: took away what a host that was killed had left mounted ({Source})", resolved, dead.Source);
            FuseMount.Detach(resolved);
            error = Resolve(path, out resolved);
        }

        if (error != 0) throw new DiagnosticException("SP4030", "the directory to mount on cannot be found", path, found: Media.Libc.ErrorText(error), fix: "make it: mkdir");
        if (!Directory.Exists(resolved)) throw new DiagnosticException("SP4031", "what is to be mounted on is no directory", path, "a directory", "a file");
        if (MountTable.Find(resolved) is { IsOurs: true } mounted)
            throw new DiagnosticException("SP4033", "sphost has something mounted there already", path, found: mounted.Source, fix: "choose another directory, or unmount it: fusermount3 -u, or umount as root");
        if (!mayHaveEntries && HasEntries(resolved))
            throw new DiagnosticException("SP4032", "the directory to mount on is not empty: what is in it could not be seen meanwhile", path, fix: "choose an empty one, or say -o nonempty");
        return new MountPoint(resolved);
    }

    // Of a dead mount only the way to it can be resolved.
    private static int Resolve(string path, out string resolved)
    {
        string full = System.IO.Path.GetFullPath(path).TrimEnd('/');
        if (full.Length == 0) full = "/";
        int error = RealPath(full, out resolved);
        if (error != Errno.NotConnected) return error;
        if (RealPath(System.IO.Path.GetDirectoryName(full) ?? "/", out string parent) == 0) resolved = System.IO.Path.Combine(parent, System.IO.Path.GetFileName(full));
        return error;
    }

    private static unsafe int RealPath(string path, out string resolved)
    {
        byte* buffer = stackalloc byte[MaxPathBytes];
        resolved = path;
        if (FuseCalls.RealPath(path, buffer) is null) return Marshal.GetLastPInvokeError();
        resolved = Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(buffer));
        // What the kernel keeps of a dead mount looks alive.
        FuseCalls.StatXBuffer status;
        return FuseCalls.StatX(FuseCalls.StatXBuffer.CurrentDirectory, resolved, FuseCalls.StatXBuffer.ForceSync, FuseCalls.StatXBuffer.BasicMask, &status) == 0 ? 0 : Marshal.GetLastPInvokeError();
    }

    private static bool HasEntries(string path)
    {
        try
        {
            return Directory.EnumerateFileSystemEntries(path).Any();
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new DiagnosticException("SP4030", "the directory to mount on cannot be read", path, found: failure.Message, inner: failure);
        }
    }
}

/// <summary>A file system that is mounted.</summary>
/// <param name="Path">Where.</param>
/// <param name="Type">The file system's type.</param>
/// <param name="Source">What is mounted.</param>
internal sealed record MountedFileSystem(string Path, string Type, string Source)
{
    /// <summary>It is an sphost's.</summary>
    public bool IsOurs => Type == "fuse." + FuseMount.Subtype;
}

/// <summary>What is mounted in this process's view.</summary>
internal static class MountTable
{
    /// <summary>The topmost file system mounted exactly there.</summary>
    public static MountedFileSystem? Find(string path)
    {
        MountedFileSystem? found = null;
        foreach (string line in File.ReadLines("/proc/self/mountinfo"))
        {
            if (Parse(line) is { } mounted && mounted.Path == path) found = mounted;
        }

        return found;
    }

    /// <summary>Reads a line of mountinfo(5).</summary>
    internal static MountedFileSystem? Parse(string line)
    {
        string[] halves = line.Split(" - ", 2);
        if (halves.Length < 2) return null;
        string[] left = halves[0].Split(' '), right = halves[1].Split(' ');
        return left.Length < 5 || right.Length < 2 ? null : new MountedFileSystem(Unescape(left[4]), Unescape(right[0]), Unescape(right[1]));
    }

    // Blanks and backslashes as three octal digits.
    private static string Unescape(string text)
    {
        if (!text.Contains('\\')) return text;
        var plain = new StringBuilder();
        for (int i = 0; i < text.Length; i++)
        {
            bool isEscape = text[i] == '\\' && i + 3 < text.Length && text.AsSpan(i + 1, 3).IndexOfAnyExceptInRange('0', '7') < 0;
            plain.Append(isEscape ? (char)(((text[i + 1] - '0') * 64) + ((text[i + 2] - '0') * 8) + (text[i + 3] - '0')) : text[i]);
            if (isEscape) i += 3;
        }

        return plain.ToString();
    }
}
