namespace StoragePlugins.EndToEnd.Tests;

/// <summary>Images that were not closed, and what can have happened to them since: each is said in one line, and nothing is changed by saying it.</summary>
public sealed class JournalFaultTests : Scratch
{
    private const int BlockBytes = 4096;
    private const int AutoclearOffset = 88;
    private static readonly byte[] s_recordMagic = "SPJRNL1\0"u8.ToArray();

    [Fact]
    public void Killed_image_is_refused_by_qemu_shown_read_only_as_it_will_be_and_plain_after_recovery()
    {
        string image = MakeKilled("disk.qcow2");
        string hash = Bytes.Hash(image);
        Assert.Contains("journal in use, run: sphost image recover", Tool.Run("qemu-img", "info", image).Text, StringComparison.Ordinal);
        using (SphostProcess sphost = SphostProcess.Serve(Folder, image, "--read-only"))
        {
            Tool.Succeed("qemu-io", ["-r", "-f", "raw", .. Expected.SelectMany(command => new[] { "-c", command }), sphost.Uri()]);
            sphost.Close();
        }

        Assert.Contains("SP3030", Tool.Sphost("image", "check", image).Expect(1).Text, StringComparison.Ordinal);
        Assert.Equal(hash, Bytes.Hash(image));

        Tool.Sphost("image", "recover", image).Expect(0);
        Qemu.RequireClean(image);
        Qemu.Io("qcow2", image, Expected);
        Assert.DoesNotContain("journal", Tool.Succeed("qemu-img", "info", image), StringComparison.OrdinalIgnoreCase);
        string recovered = Bytes.Hash(image);
        Tool.Sphost("image", "recover", image).Expect(0);
        Qemu.RequireClean(image);
        Qemu.Io("qcow2", image, [.. Expected, "write -P 9 40M 1M"]);
        Assert.NotEqual(recovered, Bytes.Hash(image));
        using SphostProcess again = SphostProcess.Serve(Folder, image);
        Qemu.Io("raw", again.Uri(), [.. Expected, "read -P 9 40M 1M"]);
        again.Close();
    }

    [Fact]
    public void Pipeline_with_another_journal_refuses_the_image_and_changes_nothing()
    {
        string image = MakeKilled("disk.qcow2");
        string hash = Bytes.Hash(image);
        foreach (string pipeline in (string[])["qcow2-ordered", "qcow2-barrier", "qcow2-pm"])
        {
            ToolResult refused = Tool.Sphost("image", "recover", "--pipeline", pipeline, image).Expect(1);
            Assert.Contains("SP3030", refused.Text, StringComparison.Ordinal);
        }

        Assert.Equal(hash, Bytes.Hash(image));
    }

    [Fact]
    public void Journal_is_not_replayed_over_what_another_program_wrote_since()
    {
        string image = MakeKilled("disk.qcow2");
        byte[] bytes = File.ReadAllBytes(image);
        Assert.Equal(0x40, bytes[AutoclearOffset] & 0x40);
        bytes[AutoclearOffset] &= 0xbf;
        File.WriteAllBytes(image, bytes);
        foreach (string[] command in (string[][])[["image", "recover", image], ["image", "info", image], ["serve", image]])
            Assert.Contains("SP3031", Tool.Sphost(command).Expect(1).Text, StringComparison.Ordinal);
        Assert.Equal(bytes, File.ReadAllBytes(image));

        Tool.Sphost("image", "recover", "--discard-journal", image).Expect(0);
        Qemu.RequireClean(image);
    }

    [Fact]
    public void Record_lost_from_the_middle_is_an_error_and_not_the_end()
    {
        string image = MakeKilled("disk.qcow2");
        byte[] bytes = File.ReadAllBytes(image);
        int[] records = RecordsOf(bytes);
        Assert.True(records.Length > 3, $"{records.Length} records");
        bytes[records[records.Length / 2] + 80] ^= 0x10;
        File.WriteAllBytes(image, bytes);

        ToolResult refused = Tool.Sphost("image", "recover", image).Expect(1);
        Assert.Matches("sphost: error SP31[0-9]{2}: .*journal", refused.Text);
        Assert.Single(refused.Text.Trim().Split('\n'));
        Assert.Equal(bytes, File.ReadAllBytes(image));
        Tool.Sphost("image", "recover", "--discard-journal", image).Expect(0);
        Qemu.RequireClean(image);
    }

    [Fact]
    public void Torn_last_record_is_the_end_of_the_journal()
    {
        string image = MakeKilled("disk.qcow2");
        byte[] bytes = File.ReadAllBytes(image);
        int last = RecordsOf(bytes)[^1];
        bytes.AsSpan(last + 512, 512).Clear();
        bytes[last + 80] ^= 1;
        File.WriteAllBytes(image, bytes);
        Tool.Sphost("image", "recover", image).Expect(0);
        Qemu.RequireClean(image);
    }

    [Fact]
    public void Another_disks_records_are_not_replayed()
    {
        string image = MakeKilled("disk.qcow2"), other = MakeKilled("other.qcow2");
        byte[] bytes = File.ReadAllBytes(image), foreign = File.ReadAllBytes(other);
        int[] records = RecordsOf(bytes), foreignRecords = RecordsOf(foreign);
        int region = records.Min();
        // The other disk's whole journal in the place of ours: valid records, of another image.
        foreign.AsSpan(foreignRecords.Min(), 1 << 20).CopyTo(bytes.AsSpan(region));
        File.WriteAllBytes(image, bytes);
        ToolResult result = Tool.Sphost("image", "recover", image).Expect(0);
        Assert.DoesNotContain("replayed", result.Text, StringComparison.Ordinal);
        Qemu.RequireClean(image);
    }

    private static string[] Expected =>
        ["read -P 1 0 4k", "read -P 4 4k 4k", "read -P 1 8k 1016k", "read -P 2 1M 64k", "read -P 3 5M 128k", "read -P 5 900M 64k", "read -P 0 901M 1M"];

    /// <summary>An image that was written with a flush after each write, the small one in a record, and whose server was killed.</summary>
    private string MakeKilled(string name)
    {
        string image = PathOf(name);
        Qemu.Img("create", "-q", "-f", "qcow2", image, "1G");
        using SphostProcess sphost = SphostProcess.Serve(Folder, [image, "--socket", PathOf("s" + name), .. DualModePipeline.Arguments(Folder)]);
        Qemu.Io("raw", sphost.Uri(), "write -P 1 0 1M", "flush", "write -P 2 1M 64k", "flush", "write -P 3 5M 128k", "flush", "write -P 4 4k 4k", "flush", "write -P 5 900M 64k", "flush");
        sphost.Kill();
        return image;
    }

    /// <summary>Where records stand, in the order of the file.</summary>
    private static int[] RecordsOf(byte[] image) =>
        [.. Enumerable.Range(0, image.Length / BlockBytes).Select(i => i * BlockBytes).Where(at => image.AsSpan(at, s_recordMagic.Length).SequenceEqual(s_recordMagic))];
}
