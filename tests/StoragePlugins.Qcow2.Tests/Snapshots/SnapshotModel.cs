namespace StoragePlugins.Qcow2.Tests.Snapshots;

/// <summary>A disk with snapshots as a byte array each: what an image is to hold.</summary>
internal sealed class SnapshotModel(int size)
{
    public byte[] Live { get; private set; } = new byte[size];

    public Dictionary<string, byte[]> Snapshots { get; } = [];

    public void Create(string name) => Snapshots.Add(name, [.. Live]);

    public void Apply(string name) => Live = [.. Snapshots[name]];

    public void Resize(int length)
    {
        byte[] live = Live;
        Array.Resize(ref live, length);
        Live = live;
    }

    /// <summary>Everything that an open image shows must be as modelled.</summary>
    public void AssertShownBy(IDiskImage image, string where)
    {
        Assert.True(Snapshots.Keys.Order(StringComparer.Ordinal).SequenceEqual(image.ListDisks("", 1000).Select(d => d.Name)), $"{where}: other snapshots");
        AssertShown(Live, image.OpenDisk(""), $"{where}: live disk");
        foreach ((string name, byte[] content) in Snapshots) AssertShown(content, image.OpenDisk(name), $"{where}: snapshot {name}");
    }

    /// <summary>Everything that QEMU reads from a closed image must be as modelled.</summary>
    public void AssertReadByQemu(string path, string scratch)
    {
        Qemu.Img("check", "-q", "-f", "qcow2", path);
        AssertSame(Live, ConvertedByQemu(path, scratch), "qemu-img convert");
        foreach ((string name, byte[] content) in Snapshots)
        {
            // QEMU 7.2 shows a snapshot with the live disk's length.
            byte[] shown = ConvertedByQemu(path, scratch, "-l", $"snapshot.name={name}");
            int length = Math.Min(shown.Length, content.Length);
            AssertSame(content[..length], shown[..length], $"qemu-img convert -l {name}");
        }
    }

    private static byte[] ConvertedByQemu(string path, string scratch, params string[] options)
    {
        Qemu.Img(["convert", "-f", "qcow2", "-O", "raw", .. options, path, scratch]);
        return File.ReadAllBytes(scratch);
    }

    private static void AssertShown(byte[] content, IVirtualDisk disk, string where)
    {
        byte[] shown = new byte[disk.Length];
        disk.Read(0, shown);
        AssertSame(content, shown, where);
    }

    private static void AssertSame(byte[] expected, byte[] actual, string where)
    {
        Assert.True(expected.Length == actual.Length, $"{where}: {actual.Length} bytes, expected {expected.Length}");
        int same = expected.AsSpan().CommonPrefixLength(actual);
        Assert.True(same == expected.Length, $"{where}: the first difference is at {same}");
    }
}
