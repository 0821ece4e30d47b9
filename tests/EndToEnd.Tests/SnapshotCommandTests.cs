using System.Text.Json;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary><c>sphost image snapshot</c> and <c>resize</c>, judged by QEMU and beside it.</summary>
public sealed class SnapshotCommandTests : Scratch
{
    private readonly string _image;

    public SnapshotCommandTests() => _image = PathOf("disk.qcow2");

    [Theory]
    [InlineData("qcow2-journal")]
    [InlineData("qcow2-ordered")]
    [InlineData("qcow2-barrier")]
    [InlineData("pm")]
    public void Our_snapshots_are_QEMUs_and_QEMUs_are_ours(string pipeline)
    {
        string[] with = ["--pipeline", pipeline, "--config", PathOf("pm.json")];
        File.WriteAllText(PathOf("pm.json"), $$"""
            { "pipelines": { "pm": { "format": "qcow2", "journal": { "id": "pm", "path": "{{PathOf("journal.pmj")}}", "emulated": true, "persistenceDomain": "none" }, "ordering": "fdatasync" } } }
            """);
        Qemu.Img("create", "-q", "-f", "qcow2", _image, "256M");
        Qemu.Io("qcow2", _image, "write -P 1 0 3M", "write -P 1 100M 70000");
        Tool.Sphost(["image", "snapshot", "-c", "ours", .. with, _image]).Expect(0);
        Qemu.RequireClean(_image);
        Qemu.Io("qcow2", _image, "write -P 2 1M 3M");
        Qemu.Img("snapshot", "-c", "theirs", _image);
        Qemu.Io("qcow2", _image, "write -P 3 0 1M", "discard 100M 1M");
        Assert.Equal(["ours", "theirs"], Listed(with));

        Tool.Sphost(["image", "snapshot", "--apply", "theirs", .. with, _image]).Expect(0);
        Qemu.RequireClean(_image);
        Qemu.Io("qcow2", _image, "read -P 1 0 1M", "read -P 2 1M 3M", "read -P 1 100M 70000");
        Qemu.Img("snapshot", "-a", "ours", _image);
        Qemu.Io("qcow2", _image, "read -P 1 0 3M", "read -P 0 3M 1M");
        Tool.Sphost(["image", "snapshot", "-d", "theirs", .. with, _image]).Expect(0);
        Qemu.RequireClean(_image);
        Qemu.Img("snapshot", "-d", "ours", _image);
        Qemu.RequireClean(_image);
        Assert.Empty(Listed(with));
        Qemu.Io("qcow2", _image, "read -P 1 0 3M", "read -P 1 100M 70000");
    }

    [Fact]
    public void Listing_shows_what_qemu_img_lists_and_changes_nothing()
    {
        Qemu.Img("create", "-q", "-f", "qcow2", _image, "64M");
        Assert.Equal("", Tool.Sphost("image", "snapshot", _image).Expect(0).Output);
        Qemu.Img("snapshot", "-c", "one", _image);
        Qemu.Img("resize", "-q", _image, "96M");
        Qemu.Img("snapshot", "-c", "two", _image);
        string hash = Bytes.Hash(_image);
        string listed = Tool.Sphost("image", "snapshot", "-l", _image).Expect(0).Output;
        Assert.Matches(@"(?m)^one +64M +snapshot 1 of 20", listed);
        Assert.Matches(@"(?m)^two +96M +snapshot 2 of 20", listed);
        Assert.Equal(hash, Bytes.Hash(_image));
    }

    [Fact]
    public void Refused_operations_say_why_and_leave_a_plain_image()
    {
        Qemu.Img("create", "-q", "-f", "qcow2", _image, "64M");
        Tool.Sphost("image", "snapshot", "-c", "monday", _image).Expect(0);
        Tool.Sphost("image", "snapshot", "-c", "monday", _image).ExpectError("SP3023");
        Tool.Sphost("image", "snapshot", "-c", "", _image).ExpectError("SP3024");
        Assert.Contains("found snapshots monday", Tool.Sphost("image", "snapshot", "-a", "munday", _image).ExpectError("SP3021").Errors, StringComparison.Ordinal);
        Tool.Sphost("image", "snapshot", "-d", "sunday", _image).ExpectError("SP3021");
        Tool.Sphost("image", "snapshot", "-c", "a", "-d", "b", _image).Expect(2);
        Tool.Sphost("image", "snapshot", "-c", "a", PathOf("nothing")).ExpectError("SP5001");
        Qemu.RequireClean(_image);
        Tool.Sphost("image", "create", "-f", "raw", PathOf("disk.raw"), "1M").Expect(0);
        Tool.Sphost("image", "snapshot", "-c", "a", "--pipeline", "raw", PathOf("disk.raw")).ExpectError("SP3027");
    }

    [Fact]
    public void Image_that_is_served_keeps_its_snapshots_and_one_of_a_killed_server_is_recovered_first()
    {
        Qemu.Img("create", "-q", "-f", "qcow2", _image, "64M");
        using (SphostProcess sphost = SphostProcess.Serve(Folder, _image))
        {
            Qemu.Io("raw", sphost.Uri(), "write -P 4 8M 1M", "flush");
            Tool.Sphost("image", "snapshot", "-c", "a", _image).Expect(1);
            sphost.Kill();
        }

        Tool.Sphost("image", "snapshot", "-c", "a", _image).Expect(0);
        Qemu.RequireClean(_image);
        Qemu.Io("qcow2", _image, "write -P 5 8M 1M");
        Qemu.Img("snapshot", "-a", "a", _image);
        Qemu.Io("qcow2", _image, "read -P 4 8M 1M");
    }

    [MountTheory]
    [InlineData("-c", "new")]
    [InlineData("-a", "old")]
    public void Full_host_disk_leaves_the_image_as_it_was(string option, string name)
    {
        string folder = PathOf("host"), image = Path.Combine(folder, "disk.qcow2");
        using SmallFileSystem small = SmallFileSystem.Tmpfs(folder, 24);
        Qemu.Img("create", "-q", "-f", "qcow2", image, "1G");
        Qemu.Io("qcow2", image, "write -P 1 0 1M");
        Qemu.Img("snapshot", "-c", "old", image);
        Qemu.Io("qcow2", image, "write -P 2 0 1M");
        // All but nothing is left: a page or two cannot hold a table.
        Tool.Run("dd", "if=/dev/zero", $"of={Path.Combine(folder, "ballast")}", "bs=4k");
        Tool.Sphost("image", "snapshot", option, name, "--pipeline", "qcow2-ordered", image).ExpectError("SP5003");
        Qemu.RequireClean(image);
        Qemu.Io("qcow2", image, "read -P 2 0 1M");
        Assert.DoesNotContain("new", Qemu.Img("snapshot", "-l", image), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("300M", 300L << 20)]
    [InlineData("+1G", (1L << 30) + (256L << 20))]
    [InlineData("3T", 3L << 40)]
    public void Image_grows_and_reads_zeros_there(string size, long expected)
    {
        Qemu.Img("create", "-q", "-f", "qcow2", _image, "256M");
        Qemu.Io("qcow2", _image, "write -P 1 255M 1M");
        Tool.Sphost("image", "resize", _image, size).Expect(0);
        Assert.Equal(expected, VirtualSize());
        Qemu.RequireClean(_image);
        Qemu.Io("qcow2", _image, "read -P 1 255M 1M", "read -P 0 256M 44M", $"write -P 2 {expected - 4096} 4096");
        Qemu.RequireClean(_image);
    }

    [Fact]
    public void Image_shrinks_only_when_told()
    {
        Qemu.Img("create", "-q", "-f", "qcow2", _image, "256M");
        Qemu.Io("qcow2", _image, "write -P 1 0 256M");
        Tool.Sphost("image", "resize", _image, "-156M").ExpectError("SP3028");
        Assert.Equal(256L << 20, VirtualSize());
        Tool.Sphost("image", "resize", "--shrink", _image, "-156M").Expect(0);
        Assert.Equal(100L << 20, VirtualSize());
        Qemu.RequireClean(_image);
        Tool.Sphost("image", "resize", _image, "+1M").Expect(0);
        Qemu.Io("qcow2", _image, "read -P 1 0 100M", "read -P 0 100M 1M");
    }

    [Fact]
    public void Impossible_size_is_refused()
    {
        Qemu.Img("create", "-q", "-f", "qcow2", _image, "256M");
        foreach (string size in (string[])["0", "-256M", "1X", "+", "1000", "7E"]) Tool.Sphost("image", "resize", "--shrink", _image, size).ExpectError("SP3012");
        Assert.Equal(256L << 20, VirtualSize());
        Qemu.RequireClean(_image);
    }

    [Fact]
    public void Raw_image_is_resized()
    {
        string raw = PathOf("disk.raw");
        File.WriteAllBytes(raw, new byte[5000]);
        Tool.Sphost("image", "resize", "--pipeline", "raw", raw, "+3000").Expect(0);
        Assert.Equal(8000, new FileInfo(raw).Length);
        Tool.Sphost("image", "resize", "--pipeline", "raw", raw, "1K").ExpectError("SP3028");
        Tool.Sphost("image", "resize", "--pipeline", "raw", "--shrink", raw, "1K").Expect(0);
        Assert.Equal(1024, new FileInfo(raw).Length);
    }

    private IEnumerable<string> Listed(string[] with) =>
        [.. JsonDocument.Parse(Tool.Sphost(["image", "snapshot", "--json", .. with, _image]).Expect(0).Output).RootElement.EnumerateArray().Select(s => s.GetProperty("name").GetString()!)];

    private long VirtualSize() => JsonDocument.Parse(Qemu.Img("info", "--output=json", _image)).RootElement.GetProperty("virtual-size").GetInt64();
}
