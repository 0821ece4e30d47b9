namespace StoragePlugins.EndToEnd.Tests;

/// <summary>Images made by qemu-img, read through NBD by libnbd's and QEMU's clients.</summary>
public sealed class ReadingTests : Scratch
{
    public static TheoryData<string> Kinds => SampleImage.Kinds;

    [Theory]
    [MemberData(nameof(Kinds))]
    public void What_clients_read_is_byte_for_byte_what_QEMU_sees_in_the_image(string kind)
    {
        string image = SampleImage.Make(kind, Folder), expected = PathOf("expected.raw");
        Qemu.Img("convert", "-f", Qemu.FormatOf(image), "-O", "raw", image, expected);
        string hash = Bytes.Hash(image);
        using (SphostProcess sphost = SphostProcess.Serve(Folder, image, "--read-only"))
        {
            Tool.Succeed("nbdcopy", sphost.Uri(), PathOf("nbdcopy.out"));
            Qemu.Img("convert", "-f", "raw", "-O", "raw", sphost.Uri(), PathOf("convert.out"));
            foreach (string snapshot in SampleImage.SnapshotsOf(kind))
            {
                Qemu.Img("convert", "-l", snapshot, "-O", "raw", "-U", image, PathOf(snapshot + ".raw"));
                Tool.Succeed("nbdcopy", sphost.Uri("@" + snapshot), PathOf(snapshot + ".out"));
            }

            sphost.Close();
        }

        Bytes.RequireEqual(expected, PathOf("nbdcopy.out"));
        Bytes.RequireEqual(expected, PathOf("convert.out"));
        foreach (string snapshot in SampleImage.SnapshotsOf(kind)) Bytes.RequireEqual(PathOf(snapshot + ".raw"), PathOf(snapshot + ".out"));
        Assert.Equal(hash, Bytes.Hash(image));
    }

    [Fact]
    public void The_guests_file_system_is_whole()
    {
        string image = SampleImage.Make("zstd", Folder);
        using SphostProcess sphost = SphostProcess.Serve(Folder, image, "--read-only");
        Tool.Succeed("nbdcopy", sphost.Uri(), PathOf("copy.out"));
        Tool.Succeed("e2fsck", "-f", "-n", PathOf("copy.out"));
        Tool.Succeed("debugfs", "-R", $"dump /sphost.dll {PathOf("sphost.dll")}", PathOf("copy.out"));
        Bytes.RequireEqual(SphostProcess.Executable + ".dll", PathOf("sphost.dll"));
        sphost.Close();
    }

    /// <summary>The server answers a large read in several chunks, what it has in memory at once and the rest, here compressed, from a worker.
    /// A client that gets the last chunk first waits for ever (qemu-img convert did) or fails.</summary>
    [Fact]
    public void The_last_chunk_of_a_read_is_the_last_to_arrive()
    {
        string image = SampleImage.Make("zlib in clusters of 512 B", Folder), raw = PathOf("expected.raw");
        Qemu.Io("qcow2", image, [.. Enumerable.Range(0, 450).Select(i => $"write -P {i % 250} {i * 132}k 129k")]);
        Qemu.Img("convert", "-O", "raw", image, raw);
        using SphostProcess sphost = SphostProcess.Serve(Folder, image, "--read-only");
        Tool.Succeed(Tool.Python, Tool.Script("pipelined_reader.py"), sphost.Uri(), raw, "50");
        sphost.Close();
    }

    /// <summary>The extents that a copier relies on: holes must read as zeroes, data must not be called a hole.</summary>
    [Theory]
    [InlineData("qcow2")]
    [InlineData("backing chain")]
    public void Clients_see_the_same_holes_as_through_QEMU(string kind)
    {
        string image = SampleImage.Make(kind, Folder);
        string ours;
        using (SphostProcess sphost = SphostProcess.Serve(Folder, image, "--read-only"))
        {
            ours = Tool.Succeed("qemu-img", "map", "--output=json", "-f", "raw", sphost.Uri());
            sphost.Close();
        }

        using QemuNbd qemu = QemuNbd.Serve(Folder, image, "--read-only");
        string theirs = Tool.Succeed("qemu-img", "map", "--output=json", "-f", "raw", qemu.Uri);
        Assert.Equal(Zeroes(theirs), Zeroes(ours));
    }

    private static string Zeroes(string map)
    {
        var ranges = new List<(long Start, long End)>();
        foreach (System.Text.Json.JsonElement extent in System.Text.Json.JsonDocument.Parse(map).RootElement.EnumerateArray())
        {
            if (!extent.GetProperty("zero").GetBoolean()) continue;
            long start = extent.GetProperty("start").GetInt64(), end = start + extent.GetProperty("length").GetInt64();
            if (ranges.Count > 0 && ranges[^1].End == start) ranges[^1] = (ranges[^1].Start, end);
            else ranges.Add((start, end));
        }

        return string.Join('\n', ranges);
    }
}
