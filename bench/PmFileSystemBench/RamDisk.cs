using System.Globalization;

namespace StoragePlugins.PmFileSystemBench;

/// <summary>A block device in memory, all of which has been written once.</summary>
internal sealed class RamDisk : IDisposable
{
    private const string ZramControl = "/sys/class/zram-control";

    private readonly bool _canGoByItself;
    private Action? _remove;

    private RamDisk(string device, string name, string description, Action remove, bool canGoByItself)
    {
        Device = device;
        Name = name;
        Description = description;
        _remove = remove;
        _canGoByItself = canGoByItself;
    }

    public string Device { get; }

    /// <summary>As the tables call the file system on it.</summary>
    public string Name { get; }

    public string Description { get; }

    /// <summary>A loop device over a file on tmpfs.</summary>
    public static RamDisk MakeLoop(Scratch scratch, long bytes)
    {
        string file = scratch.MakeRegion("disk", bytes);
        string device = Ext4.Run("losetup", "--find", "--show", file);
        File.Delete(file);
        return new RamDisk(device, "ext4/loop", $"loop over a preallocated file in /dev/shm ({bytes >> 20} MiB)", () => Ext4.Run("losetup", "--detach", device), canGoByItself: true);
    }

    /// <summary>A compressing RAM disk of its own number; incompressible bytes are kept as they are.</summary>
    public static RamDisk MakeZram(long bytes)
    {
        if (!Directory.Exists(ZramControl)) throw new BenchException("this kernel has no zram; use --baseline loop");
        // Reading the file makes the device.
        string number = File.ReadAllText(Path.Combine(ZramControl, "hot_add")).Trim();
        string device = $"/dev/zram{number}";
        try
        {
            File.WriteAllText($"/sys/block/zram{number}/disksize", bytes.ToString(CultureInfo.InvariantCulture));
            Scratch.Fill(device, bytes);
            return new RamDisk(device, "ext4/zram", $"zram ({bytes >> 20} MiB, filled with random bytes once)", () => RemoveZram(number), canGoByItself: false);
        }
        catch
        {
            RemoveZram(number);
            throw;
        }
    }

    /// <summary>It is mounted: from now on a device that can, goes when it is no longer.</summary>
    public void GoWithMount()
    {
        // A loop device that is detached in use stays until its last user has closed it (LO_FLAGS_AUTOCLEAR).
        if (_canGoByItself) Dispose();
    }

    public void Dispose()
    {
        _remove?.Invoke();
        _remove = null;
    }

    private static void RemoveZram(string number) => File.WriteAllText(Path.Combine(ZramControl, "hot_remove"), number);
}
