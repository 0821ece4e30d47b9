namespace StoragePlugins.EndToEnd.Tests;

/// <summary>A plugin that fails is a diagnostic of the disk that uses it; another disk of the same host goes on.</summary>
public sealed class FailingPluginTests : Scratch
{
    [Theory]
    [InlineData("attach", "SP1022", "plugin Faulty 1.0.0, Faulty.Order.Attach")]
    [InlineData("attach-null", "SP1026", "Faulty.Order of plugin Faulty 1.0.0")]
    public void What_fails_at_opening_names_the_plugin(string failure, string code, string blame)
    {
        Configure(failure);
        using SphostProcess sphost = SphostProcess.Serve(Folder, "--config", PathOf("good.json"), "--plugins", PathOf("plugins"), "--control", PathOf("host.control"));
        ToolResult refused = Tool.Sphost("disk", "add", "bad", PathOf("bad.raw"), "-p", "faulty", "--size", "16M", "--control", PathOf("host.control")).ExpectError(code);
        Assert.Contains(blame, refused.Errors, StringComparison.Ordinal);
        Qemu.Io("raw", sphost.Uri("good"), "write -P 1 0 1M", "flush", "read -P 1 0 1M");
        sphost.Close();
    }

    [Theory]
    [InlineData("read", "Faulty.Order+Medium.Read")]
    [InlineData("write", "Faulty.Order+Medium.Write")]
    [InlineData("flush", "Faulty.Order+Medium.Flush")]
    public void What_fails_in_the_data_path_costs_its_own_disk_only(string failure, string call)
    {
        Configure(failure);
        using SphostProcess sphost = SphostProcess.Serve(Folder, "--config", PathOf("good.json"), "--plugins", PathOf("plugins"), "--control", PathOf("host.control"));
        Tool.Sphost("disk", "add", "bad", PathOf("bad.raw"), "-p", "faulty", "--size", "16M", "--control", PathOf("host.control")).Expect(0);
        string good = sphost.Uri("good"), bad = good.Replace("/good?", "/bad?", StringComparison.Ordinal);
        ToolResult refused = Tool.Run("qemu-io", "-f", "raw", "-c", failure == "read" ? "read 2M 1M" : "write -P 1 2M 1M", "-c", "flush", bad);
        Assert.Contains("failed: Input/output error", refused.Text, StringComparison.Ordinal);
        Assert.Contains("SP1025: bad: ", sphost.Errors, StringComparison.Ordinal);
        Assert.Contains($"plugin Faulty 1.0.0, {call}", sphost.Errors, StringComparison.Ordinal);
        Assert.Contains(failure == "read" ? "serving" : "durability lost", Tool.Sphost("disk", "list", "--control", PathOf("host.control")).Expect(0).Output, StringComparison.Ordinal);
        Qemu.Io("raw", good, "write -P 1 0 1M", "flush", "read -P 1 0 1M");
        Assert.Equal(failure == "read" ? 0 : 1, sphost.Terminate());
    }

    [Fact]
    public void What_hangs_at_close_is_left_and_the_other_disk_is_closed()
    {
        Configure("hang-at-close");
        using SphostProcess sphost = SphostProcess.Serve(Folder, "--config", PathOf("good.json"), "--plugins", PathOf("plugins"), "--control", PathOf("host.control"));
        Tool.Sphost("disk", "add", "bad", PathOf("bad.raw"), "-p", "faulty", "--size", "16M", "--control", PathOf("host.control")).Expect(0);
        string good = sphost.Uri("good");
        Qemu.Io("raw", good.Replace("/good?", "/bad?", StringComparison.Ordinal), "write 2M 1M", "flush");
        Qemu.Io("raw", good, "write -P 1 0 1M");
        Assert.Equal(1, sphost.Terminate());
        Assert.Contains("SP4027", sphost.Errors, StringComparison.Ordinal);
        Qemu.RequireClean(PathOf("good.qcow2"));
        Qemu.Io("qcow2", PathOf("good.qcow2"), "read -P 1 0 1M");
    }

    private void Configure(string failure)
    {
        string plugin = Directory.CreateDirectory(PathOf("plugins/Faulty")).FullName;
        foreach (string file in Directory.EnumerateFiles(Path.Combine(SphostProcess.Metadata("FixturesDir"), "Faulty"))) File.Copy(file, Path.Combine(plugin, Path.GetFileName(file)));
        File.WriteAllText(PathOf("good.json"), $$"""
            {
              "pipelines": { "faulty": { "format": "raw", "journal": "ordered", "ordering": { "id": "faulty", "fail": "{{failure}}" } } },
              "disks": { "good": { "image": "good.qcow2", "size": "32M" } }
            }
            """);
    }
}
