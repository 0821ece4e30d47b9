using System.Diagnostics;
using System.Text.Json;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary><c>sphost image convert</c>, beside qemu-img.</summary>
public sealed class ConvertCommandTests : Scratch
{
    private readonly string _raw;
    private readonly string _image;

    public ConvertCommandTests() => (_raw, _image) = (PathOf("disk.raw"), PathOf("disk.qcow2"));

    [Theory]
    [InlineData("clusterSize=64K")]
    [InlineData("clusterSize=512,refcountBits=8")]
    [InlineData("clusterSize=2M")]
    [InlineData("version=2")]
    public void Raw_becomes_the_qcow2_that_QEMU_reads_back(string options)
    {
        MakeRaw();
        Tool.Sphost("image", "convert", "-f", "raw", "-O", "qcow2", "-o", options, _raw, _image).Expect(0);
        Qemu.RequireClean(_image);
        Qemu.RequireIdentical(_image, _raw);
        Assert.Empty(Directory.EnumerateFiles(Folder).Except([_raw, _image]));
    }

    [Fact]
    public void Qcow2_with_backing_file_compression_and_snapshots_becomes_the_raw_that_qemu_img_makes()
    {
        MakeRaw();
        Qemu.Img("convert", "-c", "-f", "raw", "-O", "qcow2", _raw, PathOf("base.qcow2"));
        Qemu.Img("create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", _image, "80M");
        Qemu.Io("qcow2", _image, "write -P 9 5M 70000", "write -z 1M 1M");
        Qemu.Img("snapshot", "-c", "kept", _image);
        Qemu.Io("qcow2", _image, "write -P 10 5M 300k");
        Tool.Sphost("image", "convert", "-O", "raw", _image, PathOf("ours.raw")).Expect(0);
        Tool.Sphost("image", "convert", "-l", "kept", "-O", "raw", _image, PathOf("ours-kept.raw")).Expect(0);
        Qemu.Img("convert", "-O", "raw", _image, PathOf("theirs.raw"));
        Qemu.Img("convert", "-l", "kept", "-O", "raw", _image, PathOf("theirs-kept.raw"));
        Bytes.RequireEqual(PathOf("theirs.raw"), PathOf("ours.raw"));
        Bytes.RequireEqual(PathOf("theirs-kept.raw"), PathOf("ours-kept.raw"));
        Assert.InRange(Allocated(PathOf("ours.raw")), 0, Allocated(PathOf("theirs.raw")) + (64 << 10));
    }

    [Fact]
    public void Zeros_are_not_written()
    {
        using (FileStream file = File.Create(_raw))
        {
            // Written zeros, not a hole.
            file.Write(new byte[8 << 20]);
            file.Write([1]);
            file.SetLength(1L << 40);
        }

        Tool.Sphost("image", "convert", "-f", "raw", "-O", "qcow2", _raw, _image).Expect(0);
        JsonElement[] present = [.. JsonDocument.Parse(Qemu.Img("map", "--output=json", _image)).RootElement.EnumerateArray().Where(e => e.GetProperty("present").GetBoolean())];
        Assert.Equal(8L << 20, present[0].GetProperty("start").GetInt64());
        Assert.Equal(64L << 10, present.Sum(e => e.GetProperty("length").GetInt64()));
        Tool.Sphost("image", "convert", "-O", "raw", _image, PathOf("back.raw")).Expect(0);
        Assert.InRange(Allocated(PathOf("back.raw")), 1, 64 << 10);
        Assert.Equal(1L << 40, new FileInfo(PathOf("back.raw")).Length);
    }

    [Fact]
    public void Raw_of_odd_length_is_filled_up_with_zeros()
    {
        File.WriteAllBytes(_raw, [.. Enumerable.Repeat((byte)3, 100_001)]);
        Tool.Sphost("image", "convert", "-f", "raw", "-O", "qcow2", _raw, _image).Expect(0);
        Qemu.Io("qcow2", _image, "read -P 3 0 100001", "read -P 0 100001 351");
        Qemu.RequireClean(_image);
    }

    [Fact]
    public void What_is_there_is_never_replaced_and_what_makes_no_sense_makes_nothing()
    {
        MakeRaw();
        File.WriteAllText(_image, "precious");
        Tool.Sphost("image", "convert", "-f", "raw", "-O", "qcow2", _raw, _image).ExpectError("SP3801");
        Tool.Sphost("image", "convert", "-f", "raw", "-O", "raw", _raw, _raw).ExpectError("SP3801");
        Assert.Equal("precious", File.ReadAllText(_image));
        string made = PathOf("made");
        Tool.Sphost("image", "convert", "-f", "raw", "-O", "vmdk", _raw, made).ExpectError("SP2009");
        Tool.Sphost("image", "convert", "-f", "raw", "-O", "qcow2", "-o", "clusterSize=1000", _raw, made).ExpectError("SP3010");
        Tool.Sphost("image", "convert", "-f", "qcow2", "-O", "raw", _raw, made).ExpectError("SP3001");
        Tool.Sphost("image", "convert", "-O", "raw", PathOf("nothing"), made).ExpectError("SP5001");
        Tool.Sphost("image", "convert", "-f", "raw", "-l", "none", "-O", "qcow2", _raw, made).ExpectError("SP3021");
        Tool.Sphost("image", "convert", _raw, made).Expect(2);
        Assert.False(File.Exists(made));
    }

    [MountTheory]
    [InlineData("raw")]
    [InlineData("qcow2")]
    public void Full_host_disk_leaves_no_half_file(string format)
    {
        string folder = PathOf("host"), target = Path.Combine(folder, "copy");
        using SmallFileSystem small = SmallFileSystem.Tmpfs(folder, 8);
        MakeRaw();
        Tool.Sphost("image", "convert", "-f", "raw", "-O", format, _raw, target).ExpectError("SP5003");
        Assert.Empty(Directory.EnumerateFiles(folder));
    }

    [Fact]
    public void Interrupted_copy_leaves_no_half_file()
    {
        using (FileStream file = File.Create(_raw))
        {
            byte[] piece = new byte[8 << 20];
            new Random(1).NextBytes(piece);
            for (int i = 0; i < 32; i++) file.Write(piece);
        }

        using var process = Process.Start(SphostProcess.Executable, ["image", "convert", "-f", "raw", "-O", "qcow2", _raw, _image]);
        var waited = Stopwatch.StartNew();
        while (!File.Exists(_image) && !process.HasExited && waited.Elapsed < TimeSpan.FromSeconds(30)) Thread.Sleep(1);
        Tool.Run("kill", "-TERM", $"{process.Id}");
        Assert.True(process.WaitForExit(TimeSpan.FromSeconds(30)));
        // A machine that copies a quarter of a gigabyte before the signal comes has nothing to interrupt.
        if (process.ExitCode == 0) Qemu.RequireIdentical(_image, _raw);
        else Assert.False(File.Exists(_image));
    }

    /// <summary>80 MiB with runs of data of all lengths and holes between.</summary>
    private void MakeRaw()
    {
        var random = new Random(5);
        using FileStream file = File.Create(_raw);
        for (int i = 0; i < 200; i++)
        {
            byte[] data = new byte[random.Next(1, random.Next(2, 300_000))];
            random.NextBytes(data);
            file.Position = random.Next(0, (80 << 20) - data.Length);
            file.Write(data);
        }

        file.SetLength(80 << 20);
    }

    private static long Allocated(string path) => long.Parse(Tool.Succeed("stat", "-c", "%b", path)) * 512;
}
