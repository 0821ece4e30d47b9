namespace StoragePlugins.EndToEnd.Tests;

/// <summary>The medium <c>record</c> under a running host with real clients; its log replayed by a program that knows only the format.</summary>
public sealed class RecorderTests : Scratch
{
    private readonly string _image;
    private readonly string _replayed;

    public RecorderTests()
    {
        (_image, _replayed) = (PathOf("disk.qcow2"), PathOf("replayed.qcow2"));
        Tool.Sphost("image", "create", "-f", "qcow2", _image, "64M").Expect(0);
        File.Copy(_image, _replayed);
    }

    [Fact]
    public void The_log_of_concurrent_clients_replayed_over_the_old_image_is_the_new_image()
    {
        using (SphostProcess sphost = Serve("\"record\""))
        {
            Fio.Nbd(sphost.Uri(), ["--rw=randwrite", "--bsrange=512-64k", "--size=4M", "--offset_increment=4M", "--numjobs=3", "--iodepth=8", "--fsync=16", "--randseed=5"]);
            Qemu.Io("raw", sphost.Uri(), "discard 1M 1M", "write -P 7 20M 3M", "write -z 21M 64k", "flush");
            sphost.Close();
        }

        Replay();
        byte[] expected = File.ReadAllBytes(_image), replayed = File.ReadAllBytes(_replayed);
        Assert.Equal(expected, replayed[..expected.Length]);
        // The format knows no lengths: where the image was longer for a time, zeros remain.
        Assert.False(replayed.AsSpan(expected.Length).ContainsAnyExcept((byte)0));
        Qemu.RequireClean(_replayed);
    }

    [Fact]
    public void After_a_kill_the_log_ends_at_the_last_flush_and_what_was_flushed_is_in_it()
    {
        using (SphostProcess sphost = Serve("\"record\""))
        {
            Qemu.Io("raw", sphost.Uri(), "write -P 1 0 64k", "write -P 2 8M 4k", "flush", "write -P 3 64k 100k", "flush");
            sphost.Kill();
        }

        Assert.Matches(@"[1-9]\d* flushes", Replay());
        Tool.Sphost("image", "recover", _replayed).Expect(0);
        Qemu.RequireClean(_replayed);
        Qemu.Io("qcow2", _replayed, "read -P 1 0 64k", "read -P 2 8M 4k", "read -P 3 64k 100k");
    }

    [Fact]
    public void A_client_is_told_when_the_log_has_no_room()
    {
        using SphostProcess sphost = Serve("{ \"id\": \"record\", \"maxBytes\": \"2M\" }");
        Qemu.Io("raw", sphost.Uri(), "write -P 1 0 64k", "flush");
        ToolResult refused = Tool.RunIn(null, "write -P 2 1M 4M\nflush\n", "qemu-io", "-f", "raw", sphost.Uri());
        Assert.Contains("No space left on device", refused.Text, StringComparison.Ordinal);
        Qemu.Io("raw", sphost.Uri(), "read -P 1 0 64k");
        Assert.True(new FileInfo(_image + ".dmlog").Length <= 2 << 20);
    }

    [Fact]
    public void Plugins_list_shows_the_recorder_and_its_options()
    {
        Assert.Matches(@"(?m)^medium +record +Recorder ", Tool.Sphost("plugins", "list").Expect(0).Output);
        string shown = Tool.Sphost("plugins", "show", "record").Expect(0).Output;
        Assert.All(new[] { "log", "sectorSize", "maxBytes" }, option => Assert.Contains(option, shown, StringComparison.Ordinal));
    }

    private SphostProcess Serve(string recorder)
    {
        string config = PathOf("config.json");
        File.WriteAllText(config, $$"""{ "pipelines": { "recorded": { "format": "qcow2", "journal": "internal", "ordering": "fdatasync", "medium": [{{recorder}}, "file"] } } }""");
        return SphostProcess.Serve(Folder, _image, "--config", config, "--pipeline", "recorded");
    }

    private string Replay() => Tool.Succeed(Tool.Python, Tool.Script("replay_log.py"), _image + ".dmlog", _replayed);
}
