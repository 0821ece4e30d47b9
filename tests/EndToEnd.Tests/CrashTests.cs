namespace StoragePlugins.EndToEnd.Tests;

/// <summary>
/// <c>kill -9</c> in the middle of writes. A process's death keeps what it wrote to the page cache, so this shows the order of writes within
/// the process, not the device's; the crash kit is for that.
/// </summary>
public sealed class CrashTests : Scratch
{
    /// <summary>Over four kinds of image, for each pipeline: 20 kills, or 200 with --long.</summary>
    private static readonly int s_roundsOfAKind = IsLong ? 50 : 5;

    public static TheoryData<string, string, int> Cases()
    {
        var cases = new TheoryData<string, string, int>();
        foreach (string pipeline in (string[])["qcow2-ordered", "qcow2-barrier", "qcow2-journal", "qcow2-pm"])
        {
            cases.Add(pipeline, "snapshot", 1000);
            cases.Add(pipeline, "small clusters", 2000);
            cases.Add(pipeline, "backing", 3000);
            cases.Add(pipeline, "compressed", 4000);
        }

        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void After_kill_9_nothing_flushed_is_lost_and_the_image_is_sound(string pipeline, string kind, int firstSeed)
    {
        Python("fill", PathOf("first.raw"), PathOf("first.state"));
        MakeFirst(kind);
        for (int seed = firstSeed; seed < firstSeed + s_roundsOfAKind; seed++) Round(pipeline, seed);
    }

    private void Round(string pipeline, int seed)
    {
        bool hasJournal = pipeline is "qcow2-journal" or "qcow2-pm";
        string image = PathOf("disk.qcow2"), state = PathOf("disk.state");
        File.Copy(PathOf("first.qcow2"), image, overwrite: true);
        File.Copy(PathOf("first.state"), state, overwrite: true);
        string writer;
        // Small writes ride in records in every other round.
        string[] served = pipeline == "qcow2-journal" && seed % 2 == 1 ? DualModePipeline.Arguments(Folder) : ["--pipeline", pipeline];
        using (SphostProcess sphost = SphostProcess.Serve(Folder, [image, .. served]))
        {
            writer = Python("write", state, $"{seed}", $"{sphost.Id}", sphost.Uri());
            sphost.WaitForEnd();
            // barrierfs notes which mode it took.
            Assert.True(sphost.Errors.Split('\n').All(line => line.Length == 0 || line.StartsWith("sphost: note ", StringComparison.Ordinal)), sphost.Errors);
        }

        string context = $"{pipeline}, seed {seed}: {writer}";
        if (hasJournal)
        {
            ToolResult refused = Tool.Run("qemu-img", "check", image);
            Assert.Contains("journal in use, run: sphost image recover", refused.Text, StringComparison.Ordinal);
            Tool.Sphost("image", "recover", image).Expect(0);
        }

        int leaks = Qemu.Check(image);
        Assert.True(leaks == 0 || (leaks == 3 && !hasJournal), $"{context}{Tool.Run("qemu-img", "check", image).Text}");
        Assert.Equal(leaks, Tool.Sphost("image", "check", image).ExitCode);
        RequireContent(image, state, context);
        if (File.Exists(PathOf("snapshot.raw")))
        {
            Qemu.Img("convert", "-l", "s", "-O", "raw", image, PathOf("after.raw"));
            Bytes.RequireEqual(PathOf("snapshot.raw"), PathOf("after.raw"));
        }

        using (SphostProcess again = SphostProcess.Serve(Folder, [image, .. served]))
        {
            Tool.Succeed("nbdcopy", again.Uri(), PathOf("again.out"));
            Bytes.RequireEqual(PathOf("after.out"), PathOf("again.out"));
            Qemu.Io("raw", again.Uri(), "write -P 1 5M 3M", "discard 9M 2M", "flush");
            again.Close();
        }

        Assert.NotEqual(2, Qemu.Check(image));
        Tool.Sphost("image", "check", "--repair", "leaks", image).Expect(0);
        Qemu.RequireClean(image);
    }

    private void RequireContent(string image, string state, string context)
    {
        Qemu.Img("convert", "-f", "qcow2", "-O", "raw", image, PathOf("after.out"));
        ToolResult check = Tool.Run(Tool.Python, Tool.Script("crash_writer.py"), "check", state, PathOf("after.out"));
        Assert.True(check.ExitCode == 0, context + check.Text);
    }

    private void MakeFirst(string kind)
    {
        string first = PathOf("first.qcow2"), raw = PathOf("first.raw");
        switch (kind)
        {
            case "snapshot":
                Qemu.Img("convert", "-f", "raw", "-O", "qcow2", raw, first);
                Qemu.Img("snapshot", "-c", "s", first);
                File.Copy(raw, PathOf("snapshot.raw"));
                break;
            case "small clusters":
                Qemu.Img("convert", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=1k,refcount_bits=1", raw, first);
                break;
            case "backing":
                Qemu.Img("create", "-q", "-f", "qcow2", "-b", raw, "-F", "raw", first);
                break;
            default:
                Qemu.Img("convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zstd,cluster_size=16k", raw, first);
                break;
        }
    }

    private static string Python(params string[] arguments) => Tool.Succeed(Tool.Python, [Tool.Script("crash_writer.py"), .. arguments]);
}
