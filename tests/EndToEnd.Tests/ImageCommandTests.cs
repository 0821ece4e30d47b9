using System.Buffers.Binary;
using System.Text.Json;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary><c>sphost image</c>, judged by QEMU.</summary>
public sealed class ImageCommandTests : Scratch
{
    private const long RefcountBlock = 0x20000, L2 = 0x40000;

    private readonly string _image;

    public ImageCommandTests() => _image = PathOf("disk.qcow2");

    [Fact]
    public void Image_is_not_taken_for_raw_while_a_plugin_cannot_be_read_that_may_know_it()
    {
        string plugins = PathOf("plugins/Broken");
        Directory.CreateDirectory(plugins);
        byte[] whole = File.ReadAllBytes(Path.Combine(Path.GetDirectoryName(SphostProcess.Executable)!, "plugins", "Qcow2", "StoragePlugins.Qcow2.dll"));
        File.WriteAllBytes(Path.Combine(plugins, "Broken.dll"), whole[..3000]);
        string image = PathOf("disk.img");
        File.WriteAllBytes(image, new byte[1 << 20]);

        ToolResult guessed = Tool.Sphost("image", "info", image, "--plugins", PathOf("plugins"));
        Assert.Equal(1, guessed.ExitCode);
        Assert.Contains("error SP3806", guessed.Errors, StringComparison.Ordinal);
        Tool.Sphost("image", "info", image, "--plugins", PathOf("plugins"), "--pipeline", "raw").Expect(0);
    }

    [Theory]
    [InlineData("clusterSize=512", "cluster_size: 512")]
    [InlineData("clusterSize=2M", "cluster_size: 2097152")]
    [InlineData("refcountBits=1", "refcount bits: 1")]
    [InlineData("refcountBits=64", "refcount bits: 64")]
    [InlineData("version=2", "compat: 0.10")]
    [InlineData("lazyRefcounts=true", "lazy refcounts: true")]
    [InlineData("compression=zstd", "compression type: zstd")]
    [InlineData("clusterSize=4K,refcountBits=8,compression=zstd", "refcount bits: 8")]
    public void Create_makes_what_QEMU_reads_and_writes(string options, string info)
    {
        Tool.Sphost("image", "create", "-o", options, _image, "3G").Expect(0);
        string described = Qemu.Img("info", _image);
        Assert.Contains(info, described, StringComparison.Ordinal);
        Assert.Contains("(3221225472 bytes)", described, StringComparison.Ordinal);
        Qemu.Io("qcow2", _image, "write -P 1 2G 1M", "read -P 1 2G 1M");
        Qemu.RequireClean(_image);
        Tool.Sphost("image", "check", _image).Expect(0);
    }

    [Fact]
    public void Create_on_a_backing_file_takes_its_size_and_content()
    {
        Tool.Sphost("image", "create", _image, "96M").Expect(0);
        Qemu.Io("qcow2", _image, "write -P 5 1M 1M");
        Tool.Sphost("image", "create", "--backing", "disk.qcow2", "--backing-format", "qcow2", PathOf("top.qcow2")).Expect(0);
        Assert.Contains("(100663296 bytes)", Qemu.Img("info", PathOf("top.qcow2")), StringComparison.Ordinal);
        Qemu.Io("qcow2", PathOf("top.qcow2"), "read -P 5 1M 1M", "read -P 0 0 1M");
    }

    [Theory]
    [InlineData("qcow2")]
    [InlineData("raw")]
    public void Create_never_overwrites(string format)
    {
        File.WriteAllText(_image, "precious");
        Tool.Sphost("image", "create", "-f", format, _image, "1G").ExpectError("SP3801");
        Assert.Equal("precious", File.ReadAllText(_image));
    }

    [Theory]
    [InlineData("SP3010", "-o", "clusterSize=1000", "1G")]
    [InlineData("SP2006", "-o", "clusterSize=4M", "1G")]
    [InlineData("SP2006", "-o", "refcountBits=3", "1G")]
    [InlineData("SP2004", "-o", "clusterSise=64K", "1G")]
    [InlineData("SP3011", "-o", "version=2,refcountBits=8", "1G")]
    [InlineData("SP3012", "-o", "clusterSize=512", "1T")]
    [InlineData("SP3012", "-o", "clusterSize=64K", "1Q")]
    [InlineData("SP3017", "-o", "clusterSize", "1G")]
    [InlineData("SP2009", "-f", "vmdk", "1G")]
    public void Create_refuses_what_makes_no_sense_and_makes_nothing(string code, string option, string value, string size)
    {
        Tool.Sphost("image", "create", option, value, _image, size).ExpectError(code);
        Assert.False(File.Exists(_image));
    }

    [Fact]
    public void An_unknown_option_is_a_usage_error()
    {
        ToolResult result = Tool.Sphost("image", "create", "--clusters", "64K", _image, "1G").Expect(2);
        Assert.StartsWith("sphost: error: ", result.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", result.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Info_tells_what_qemu_img_tells()
    {
        Qemu.Img("create", "-q", "-f", "qcow2", "-o", "cluster_size=32k,refcount_bits=32,compression_type=zstd", _image, "77M");
        Qemu.Img("snapshot", "-c", "before", _image);
        JsonElement ours = JsonDocument.Parse(Tool.Sphost("image", "info", "--json", _image).Expect(0).Output).RootElement;
        JsonElement theirs = JsonDocument.Parse(Qemu.Img("info", "--output=json", _image)).RootElement;
        JsonElement properties = ours.GetProperty("properties"), specific = theirs.GetProperty("format-specific").GetProperty("data");
        Assert.Equal("qcow2", ours.GetProperty("format").GetString());
        Assert.Equal(theirs.GetProperty("virtual-size").GetInt64(), ours.GetProperty("virtualSize").GetInt64());
        Assert.Equal(theirs.GetProperty("cluster-size").GetInt64(), properties.GetProperty("clusterSize").GetInt64());
        Assert.Equal(specific.GetProperty("refcount-bits").GetInt32(), properties.GetProperty("refcountBits").GetInt32());
        Assert.Equal(specific.GetProperty("compression-type").GetString(), properties.GetProperty("compression").GetString());
        Assert.Equal("before", ours.GetProperty("snapshots")[0].GetProperty("name").GetString());
    }

    [Fact]
    public void Check_has_nothing_to_say_about_raw_images()
    {
        Tool.Sphost("image", "create", "-f", "raw", PathOf("disk.raw"), "1M").Expect(0);
        Tool.Sphost("image", "check", "--pipeline", "raw", PathOf("disk.raw")).Expect(63);
    }

    [Fact]
    public void Leaks_are_found_and_mended()
    {
        MakeWithData();
        Patch(RefcountBlock + 40, [0, 1, 0, 1, 0, 1]); // clusters 20 to 22, which nothing uses
        using (FileStream file = File.OpenWrite(_image)) file.SetLength(32 << 16);
        Assert.Equal(3, Qemu.Check(_image));
        string hash = Bytes.Hash(_image);
        JsonElement report = JsonDocument.Parse(Tool.Sphost("image", "check", "--json", _image).Expect(3).Output).RootElement;
        Assert.Equal(3, report.GetProperty("leaks").GetInt32());
        Assert.Equal(hash, Bytes.Hash(_image));
        Tool.Sphost("image", "check", "--repair", "leaks", _image).Expect(0);
        Qemu.RequireClean(_image);
        Qemu.Io("qcow2", _image, "read -P 1 0 640k");
    }

    [Fact]
    public void Refcounts_that_are_too_low_are_corruption_and_mended_by_all_only()
    {
        MakeWithData();
        Patch(RefcountBlock + 12, [0, 0, 0, 0]); // clusters 6 and 7, which hold data
        Assert.Equal(2, Qemu.Check(_image));
        Tool.Sphost("image", "check", _image).Expect(2);
        Tool.Sphost("image", "check", "--repair", "leaks", _image).Expect(2);
        Tool.Sphost("image", "check", "--repair", "all", _image).Expect(0);
        Qemu.RequireClean(_image);
        Qemu.Io("qcow2", _image, "read -P 1 0 640k");
    }

    [Fact]
    public void A_lost_refcount_block_is_rebuilt()
    {
        MakeWithData();
        Patch(RefcountBlock, new byte[0x10000]);
        Tool.Sphost("image", "check", _image).Expect(2);
        Tool.Sphost("image", "check", "--repair", "all", _image).Expect(0);
        Qemu.RequireClean(_image);
        Qemu.Io("qcow2", _image, "read -P 1 0 640k");
    }

    [Fact]
    public void A_cluster_mapped_twice_is_corruption()
    {
        MakeWithData();
        byte[] entry = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(entry, 0x50000 | (1UL << 63));
        Patch(L2 + 8, entry);
        Assert.Equal(2, Qemu.Check(_image));
        Tool.Sphost("image", "check", _image).Expect(2);
        Tool.Sphost("image", "check", "--repair", "all", _image).Expect(0);
        Qemu.RequireClean(_image);
    }

    [Fact]
    public void An_image_that_is_no_image_is_not_checked()
    {
        Tool.Sphost("image", "check", PathOf("nothing")).ExpectError("SP5001");
        MakeWithData();
        Patch(4, [0, 0, 0, 9]);
        Tool.Sphost("image", "check", _image).ExpectError("SP3002");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_dirty_image_of_QEMU_is_brought_into_order(bool byServing)
    {
        Qemu.Img("create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on", _image, "256M");
        using (QemuNbd qemu = QemuNbd.Serve(Folder, _image)) Qemu.Io("raw", qemu.Uri, "write -P 1 0 20M", "flush", "write -P 2 100M 1M", "flush");
        Assert.True(DirtyBit(), "QEMU left the image clean");
        Tool.Sphost("image", "info", _image).Expect(0);
        if (byServing)
        {
            using SphostProcess sphost = SphostProcess.Serve(Folder, _image);
            Assert.Contains("refcounts", sphost.Errors, StringComparison.Ordinal);
            Qemu.Io("raw", sphost.Uri(), "read -P 1 0 20M", "read -P 2 100M 1M");
            sphost.Close();
        }
        else
        {
            Tool.Sphost("image", "recover", _image).Expect(0);
        }

        Assert.False(DirtyBit());
        Qemu.RequireClean(_image);
        Qemu.Io("qcow2", _image, "read -P 1 0 20M", "read -P 2 100M 1M");
    }

    private bool DirtyBit() => (File.ReadAllBytes(_image)[79] & 1) != 0;

    private void MakeWithData()
    {
        Qemu.Img("create", "-q", "-f", "qcow2", _image, "64M");
        Qemu.Io("qcow2", _image, "write -P 1 0 640k");
    }

    private void Patch(long offset, byte[] bytes)
    {
        using FileStream file = File.OpenWrite(_image);
        file.Position = offset;
        file.Write(bytes);
    }
}
