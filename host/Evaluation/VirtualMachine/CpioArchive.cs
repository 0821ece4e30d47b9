using System.Globalization;
using System.Text;

namespace StoragePlugins.Host.Evaluation.VirtualMachine;

/// <summary>Writes a cpio archive of the "newc" kind, as the kernel unpacks it at boot: Documentation/driver-api/early-userspace/buffer-format.rst.</summary>
/// <remarks>Everything belongs to root and has no time: the same content is the same archive.</remarks>
internal sealed class CpioArchive(Stream output)
{
    private const string Magic = "070701";
    private const string Trailer = "TRAILER!!!";
    private const int Alignment = 4;
    private const int RegularFile = 0x8000;
    private const int DirectoryKind = 0x4000;

    /// <summary>rwxr-xr-x: what runs, and folders.</summary>
    public const int Executable = 0x1ED;

    /// <summary>rw-r--r--.</summary>
    public const int Plain = 0x1A4;

    private readonly HashSet<string> _directories = [];
    private int _entries;
    private long _position;

    /// <summary>Adds a folder, and those above it, unless they are there.</summary>
    /// <param name="path">From the root, with or without a slash in front.</param>
    public void AddDirectory(string path)
    {
        string name = path.Trim('/');
        if (name.Length == 0 || !_directories.Add(name)) return;
        AddDirectory(Path.GetDirectoryName(name) ?? "");
        WriteHeader(name, DirectoryKind | Executable, links: 2, size: 0);
    }

    /// <summary>Adds a file with these bytes.</summary>
    public void AddFile(string path, ReadOnlySpan<byte> content, int mode)
    {
        BeginFile(path, mode, content.Length);
        Write(content);
        Align();
    }

    /// <summary>Adds a file with the content of one of the host; links are followed.</summary>
    public void AddFile(string path, string hostPath, int mode)
    {
        using FileStream content = File.OpenRead(hostPath);
        BeginFile(path, mode, content.Length);
        content.CopyTo(output);
        _position += content.Length;
        Align();
    }

    /// <summary>Ends the archive.</summary>
    public void Finish()
    {
        WriteHeader(Trailer, mode: 0, links: 1, size: 0);
        output.Flush();
    }

    private void BeginFile(string path, int mode, long size)
    {
        string name = path.Trim('/');
        AddDirectory(Path.GetDirectoryName(name) ?? "");
        WriteHeader(name, RegularFile | mode, links: 1, size);
    }

    // inode, mode, user, group, links, time, size, the device's two numbers, those of what a node stands for, length of the name, checksum (unused).
    private void WriteHeader(string name, int mode, int links, long size)
    {
        long[] fields = [++_entries, mode, 0, 0, links, 0, size, 0, 0, 0, 0, Encoding.UTF8.GetByteCount(name) + 1, 0];
        Write(Encoding.UTF8.GetBytes(Magic + string.Concat(fields.Select(field => field.ToString("x8", CultureInfo.InvariantCulture))) + name + '\0'));
        Align();
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        output.Write(bytes);
        _position += bytes.Length;
    }

    private void Align()
    {
        ReadOnlySpan<byte> zeros = [0, 0, 0];
        Write(zeros[..(int)(-_position & (Alignment - 1))]);
    }
}
