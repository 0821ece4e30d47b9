using System.Text.Json;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>A configuration file with two pipelines and three disks.</summary>
public sealed class ConfigurationTests : Scratch
{
    private const string Text = """
        {
          // comments are welcome
          "pipelines": {
            "scratch": { "format": "raw", "journal": "ordered", "ordering": "none", "medium": "file", "description": "lost in a crash" },
            "small-cache": { "format": { "id": "qcow2", "mapCache": "1M" }, "journal": "ordered", "ordering": "fsync", "medium": "file" }
          },
          "disks": {
            "data": { "image": "data.qcow2", "pipeline": "small-cache", "size": "2G", "description": "the database" },
            "old": { "image": "old.qcow2", "readOnly": true },
            "temp": { "image": "temp.raw", "pipeline": "scratch", "size": "64M" }
          }
        }
        """;

    private readonly string _config;

    public ConfigurationTests()
    {
        _config = PathOf("sphost.json");
        File.WriteAllText(_config, Text);
        Qemu.Img("create", "-q", "-f", "qcow2", PathOf("old.qcow2"), "32M");
        Qemu.Io("qcow2", PathOf("old.qcow2"), "write -P 7 1M 1M");
    }

    [Fact]
    public void Disks_are_exported_under_their_names()
    {
        using SphostProcess sphost = SphostProcess.Serve(Folder, "--config", _config);
        Assert.Equal(["data", "old", "temp"], sphost.Exports.Order());
        JsonElement exports = JsonDocument.Parse(Tool.Succeed("nbdinfo", "--list", "--json", sphost.Uri("data"))).RootElement.GetProperty("exports");
        var sizes = exports.EnumerateArray().ToDictionary(e => e.GetProperty("export-name").GetString()!, e => e.GetProperty("export-size").GetInt64());
        Assert.Equal(new Dictionary<string, long> { ["data"] = 2L << 30, ["old"] = 32 << 20, ["temp"] = 64 << 20 }, sizes);
        Qemu.Io("raw", sphost.Uri("data"), "write -P 1 0 1M", "read -P 1 0 1M");
        Qemu.Io("raw", sphost.Uri("temp"), "write -P 2 0 1M", "flush", "read -P 2 0 1M");
        sphost.Close();
        Qemu.RequireClean(PathOf("data.qcow2"));
    }

    [Fact]
    public void A_read_only_disk_refuses_writes()
    {
        string hash = Bytes.Hash(PathOf("old.qcow2"));
        using SphostProcess sphost = SphostProcess.Serve(Folder, "--config", _config);
        Assert.Contains("is_read_only: true", Tool.Succeed("nbdinfo", sphost.Uri("old")), StringComparison.Ordinal);
        ToolResult refused = Tool.Run("qemu-io", "-f", "raw", "-c", "write 0 64k", sphost.Uri("old"));
        Assert.NotEqual(0, refused.ExitCode);
        Tool.Succeed("qemu-io", "-r", "-f", "raw", "-c", "read -P 7 1M 1M", sphost.Uri("old"));
        sphost.Close();
        Assert.Equal(hash, Bytes.Hash(PathOf("old.qcow2")));
    }

    [Fact]
    public void An_unsafe_ordering_is_called_so_everywhere()
    {
        using SphostProcess sphost = SphostProcess.Serve(Folder, "--config", _config);
        Assert.Single(sphost.Output.Split('\n'), line => line.StartsWith("UNSAFE: ", StringComparison.Ordinal));
        Assert.Contains("UNSAFE", Tool.Succeed("nbdinfo", "--list", sphost.Uri("temp")), StringComparison.Ordinal);
        sphost.Close();
        string[] rows = Tool.Sphost("pipelines", "list", "--config", _config).Expect(0).Output.Split('\n');
        Assert.Contains("unsafe", rows.Single(row => row.StartsWith("scratch ", StringComparison.Ordinal)), StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("unsafe", rows.Single(row => row.StartsWith("small-cache ", StringComparison.Ordinal)), StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("unsafe", rows.Single(row => row.StartsWith("qcow2-ordered ", StringComparison.Ordinal)), StringComparison.OrdinalIgnoreCase);
    }

    [Theory]
    [InlineData("\"mapCache\": \"1M\"", "\"mapCache\": \"1K\"", "SP2006")]
    [InlineData("\"mapCache\"", "\"mapCahce\"", "SP2004")]
    [InlineData("\"readOnly\"", "\"readonly\"", "SP2004")]
    [InlineData("\"ordering\": \"fsync\"", "\"ordering\": \"fsnyc\"", "SP2007")]
    [InlineData("\"pipeline\": \"scratch\"", "\"pipeline\": \"scratsh\"", "SP2009")]
    [InlineData("\"disks\": {", "\"disks\": [", "SP2002")]
    public void A_mistake_in_the_file_is_one_line_and_nothing_is_made(string right, string wrong, string code)
    {
        File.WriteAllText(_config, Text.Replace(right, wrong, StringComparison.Ordinal));
        ToolResult result = Tool.Sphost("serve", "--config", _config, "--socket", PathOf("s.sock")).ExpectError(code);
        Assert.Contains("sphost.json:", result.Errors, StringComparison.Ordinal);
        Assert.False(File.Exists(PathOf("data.qcow2")) || File.Exists(PathOf("temp.raw")));
    }
}
