using System.Globalization;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;
using StoragePlugins.Host.Tests.Plugins;

namespace StoragePlugins.Host.Tests.Pipelines;

public sealed class BackingChainTests : IDisposable
{
    private readonly Fixture _fixture = Fixture.With("Toy");
    private readonly string _images = Directory.CreateTempSubdirectory("sphost-chain-").FullName;
    private readonly FileStandIn _files = new();
    private readonly RecordingLogger _log = new();
    private readonly PluginCatalog _catalog;
    private readonly PipelineComposer _composer;

    public BackingChainTests()
    {
        _catalog = _fixture.Scan([_files.AsBuiltIn]);
        _composer = new PipelineComposer(_catalog, HostConfiguration.BuiltInOnly, _log);
    }

    [Fact]
    public void Relative_names_are_relative_to_the_image_that_names_them()
    {
        Directory.CreateDirectory(Path.Combine(_images, "base"));
        File.WriteAllText(Path.Combine(_images, "base", "raw.img"), "from the base");
        Create("base/middle.img", "raw.img", "raw");
        string top = Create("top.img", "file:base/middle.img", "toy");
        Assert.Equal("from the base", Read(top, 13));
        Assert.Equal(0, _files.Open);
    }

    [Fact]
    public void A_backing_file_is_opened_for_reading_even_below_a_writable_image()
    {
        File.WriteAllText(Path.Combine(_images, "raw.img"), "from the base");
        string top = Create("top.img", "raw.img", "raw");
        File.SetAttributes(Path.Combine(_images, "raw.img"), FileAttributes.ReadOnly);
        using OpenedImage image = _composer.Open(PipelineComposerTests.Pipeline(), top, readOnly: false);
        using IVirtualDisk disk = image.Image.OpenDisk("");
        disk.Write(0, "over"u8);
        Assert.Equal("from the base", File.ReadAllText(Path.Combine(_images, "raw.img")));
    }

    [Fact]
    public void A_backing_format_that_is_not_recorded_is_probed_and_raw_is_said_aloud()
    {
        Create("middle.img", null, null);
        Read(Create("a.img", "middle.img", null), 1);
        Assert.DoesNotContain(_log.Lines, line => line.Contains("SP3808", StringComparison.Ordinal));
        File.WriteAllText(Path.Combine(_images, "raw.img"), "x");
        Read(Create("b.img", "raw.img", null), 1);
        Assert.Single(_log.Lines, line => line.Contains("SP3808", StringComparison.Ordinal) && line.Contains("'raw.img'", StringComparison.Ordinal));
    }

    [Fact]
    public void A_loop_is_found_whatever_its_files_are_called()
    {
        Create("a.img", "b.img", "toy");
        File.CreateSymbolicLink(Path.Combine(_images, "b.img"), "a.img");
        Assert.Equal("SP3802", Fails(Path.Combine(_images, "a.img")));
        Create("c.img", "d.img", "toy");
        Create("d.img", "c.img", "toy");
        Assert.Equal("SP3802", Fails(Path.Combine(_images, "c.img")));
        Assert.Equal(0, _files.Open);
    }

    [Fact]
    public void A_chain_may_be_64_images_deep_and_no_deeper()
    {
        for (int i = 0; i < BackingChain.MaxDepth + 1; i++)
            Create(Name(i), i == 0 ? null : Name(i - 1), i == 0 ? null : "toy");
        Read(Path.Combine(_images, Name(BackingChain.MaxDepth - 1)), 1);
        Assert.Equal("SP3803", Fails(Path.Combine(_images, Name(BackingChain.MaxDepth))));
        Assert.Equal(0, _files.Open);
    }

    [Theory]
    [InlineData("nbd:unix:/tmp/x", "SP3804", "'nbd:'")]
    [InlineData("nbd://host/x", "SP3804", "'nbd:'")]
    [InlineData("http://host/x", "SP3804", "'http:'")]
    [InlineData("json:{\"driver\": \"raw\"}", "SP3804", "'json:'")]
    [InlineData("gone.img", "SP3807", "'gone.img'")]
    public void What_is_no_file_is_refused_by_name(string backing, string code, string text)
    {
        string path = Create("a.img", backing, "raw");
        var exception = Assert.Throws<DiagnosticException>(() => _composer.Open(PipelineComposerTests.Pipeline(), path, readOnly: true));
        Assert.Equal(code, exception.Code);
        Assert.Contains(text, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_colon_behind_a_slash_is_part_of_a_files_name()
    {
        File.WriteAllText(Path.Combine(_images, "a:b.img"), "colon");
        Assert.Equal("colon", Read(Create("top.img", "./a:b.img", "raw"), 5));
    }

    [Fact]
    public void An_unknown_backing_format_is_named()
    {
        File.WriteAllText(Path.Combine(_images, "raw.img"), "x");
        Assert.Equal("SP2007", Fails(Create("a.img", "raw.img", "vmdk")));
        Assert.Equal(0, _files.Open);
    }

    public void Dispose()
    {
        _catalog.Dispose();
        _fixture.Dispose();
        Directory.Delete(_images, recursive: true);
    }

    private static string Name(int index) => string.Create(CultureInfo.InvariantCulture, $"{index}.img");

    private string Create(string name, string? backing, string? format)
    {
        string path = Path.Combine(_images, name);
        _composer.Create(PipelineComposerTests.Pipeline(), path, new CreateRequest(4096, backing, format));
        return path;
    }

    private string Fails(string path) => Assert.Throws<DiagnosticException>(() => _composer.Open(PipelineComposerTests.Pipeline(), path, readOnly: false)).Code;

    private string Read(string path, int length)
    {
        using OpenedImage image = _composer.Open(PipelineComposerTests.Pipeline(), path, readOnly: true);
        using IVirtualDisk disk = image.Image.OpenDisk("");
        byte[] buffer = new byte[length];
        disk.Read(0, buffer);
        return System.Text.Encoding.UTF8.GetString(buffer);
    }
}
