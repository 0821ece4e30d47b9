using System.Text;
using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>The named disks of an image as files for reading, opened when they are read first.</summary>
/// <remarks>
/// <para>Thread-safe. Listed once: nobody makes or deletes a snapshot of an image that is mounted.</para>
/// <para>A name that no file can have is written with %XX: '/', '%' and 0, and a dot where the name is "." or "..".</para>
/// </remarks>
internal sealed class SnapshotDirectory : IDisposable
{
    /// <summary>Snapshots shown at most; an image has a few, and each takes some hundred bytes here.</summary>
    public const int MaxShown = 4096;

    private const int PageOfNames = 256;

    private readonly OpenedImage _image;
    private readonly ILogger _logger;
    private readonly Lock _opening = new();
    private readonly List<(byte[] File, DiskEntry Disk)> _entries = [];
    private readonly ServedDisk?[] _disks;

    /// <param name="image">Lists and opens them; the caller's.</param>
    /// <param name="logger">Is told what is not shown.</param>
    public SnapshotDirectory(OpenedImage image, ILogger logger)
    {
        (_image, _logger) = (image, logger);
        for (string? after = null; ;)
        {
            IReadOnlyList<DiskEntry> page = image.Image.ListDisks(after, PageOfNames);
            foreach (DiskEntry disk in page) Add(disk);
            if (page.Count < PageOfNames || _entries.Count == MaxShown) break;
            after = page[^1].Name;
        }

        _disks = new ServedDisk?[_entries.Count];
    }

    /// <summary>How many there are.</summary>
    public int Count => _entries.Count;

    /// <summary>A file's name.</summary>
    public ReadOnlySpan<byte> NameOf(int index) => _entries[index].File;

    /// <summary>A disk's length.</summary>
    public long LengthOf(int index) => _entries[index].Disk.Length;

    /// <summary>The place of a file; null when there is none of this name.</summary>
    public int? Find(ReadOnlySpan<byte> name)
    {
        for (int i = 0; i < _entries.Count; i++) if (name.SequenceEqual(_entries[i].File)) return i;
        return null;
    }

    /// <summary>A disk, for reading.</summary>
    /// <exception cref="StorageException">It cannot be opened: the snapshot is damaged.</exception>
    public ServedDisk Open(int index)
    {
        if (Volatile.Read(ref _disks[index]) is { } open) return open;
        lock (_opening)
        {
            if (_disks[index] is { } opened) return opened;
            string name = _entries[index].Disk.Name;
            try
            {
                var disk = new ServedDisk($"{_image.Path}@{name}", _image.Image.OpenDisk(name), _image.Meter, _logger);
                Volatile.Write(ref _disks[index], disk);
                return disk;
            }
            catch (DiagnosticException broken)
            {
                throw new StorageException(StorageError.Io, "open", $"{_image.Path}@{name}", -1, 0, $"{broken.Code}: {broken.Message}", broken);
            }
        }
    }

    /// <summary>Refuses new requests and waits for the running ones.</summary>
    /// <returns>False when some were still running after <paramref name="timeout"/>.</returns>
    public bool Quiesce(TimeSpan timeout)
    {
        lock (_opening) return _disks.All(disk => disk?.Quiesce(timeout) ?? true);
    }

    public void Dispose()
    {
        lock (_opening)
        {
            foreach (ServedDisk? disk in _disks) disk?.Dispose();
        }
    }

    /// <summary>The file's name for a disk's.</summary>
    internal static byte[] FileNameOf(string disk)
    {
        string plain = disk.Replace("%", "%25", StringComparison.Ordinal).Replace("/", "%2F", StringComparison.Ordinal).Replace("\0", "%00", StringComparison.Ordinal);
        return Encoding.UTF8.GetBytes(plain is "." or ".." ? plain.Replace(".", "%2E", StringComparison.Ordinal) : plain);
    }

    private void Add(DiskEntry disk)
    {
        if (disk.Name.Length == 0) return;
        byte[] file = FileNameOf(disk.Name);
        if (_entries.Count < MaxShown && file.Length <= FuseProtocol.MaxNameBytes) _entries.Add((file, disk));
        else _logger.LogWarning("{Image}: snapshot '{Name}' is not shown: {Reason}", _image.Path, disk.Name, file.Length > FuseProtocol.MaxNameBytes ? "its name is too long for a file" : $"there are more than {MaxShown}");
    }
}
