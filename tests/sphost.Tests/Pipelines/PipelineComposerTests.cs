using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;
using StoragePlugins.Host.Tests.Plugins;

namespace StoragePlugins.Host.Tests.Pipelines;

public sealed class PipelineComposerTests : IDisposable
{
    private readonly Fixture _fixture = Fixture.With("Toy", "WrongMajor");
    private readonly string _images = Directory.CreateTempSubdirectory("sphost-images-").FullName;
    private readonly FileStandIn _files = new();
    private readonly RecordingLogger _log = new();
    private readonly PluginCatalog _catalog;
    private readonly PipelineComposer _composer;

    public PipelineComposerTests()
    {
        _catalog = _fixture.Scan([_files.AsBuiltIn]);
        _composer = new PipelineComposer(_catalog, HostConfiguration.BuiltInOnly, _log);
    }

    [Fact]
    public void What_is_written_through_a_pipeline_is_there_when_it_is_opened_again()
    {
        string path = Create("a.img", 4096);
        using (OpenedImage image = _composer.Open(Pipeline(), path, readOnly: false))
        {
            using IVirtualDisk disk = image.Image.OpenDisk("");
            disk.Write(512, "hello"u8);
            disk.Flush();
            Assert.Equal(1, image.Meter.Read().HostFlushes);
            Assert.Empty(image.UnsafeReasons);
            image.Close();
        }

        Assert.Equal("hello"u8.ToArray(), ReadBack(path, 512, 5));
        Assert.Equal(0, _files.Open);
    }

    [Fact]
    public void Media_stand_on_one_another_in_the_order_of_the_list_with_their_options()
    {
        string path = Create("a.img", 4096);
        using OpenedImage image = _composer.Open(Pipeline(media: [Slow(("flushDelay", "7ms"), ("steps", "3|4")), PlainFile()]), path, readOnly: false);
        Assert.Contains("Information: toy-slow 00:00:00.0070000 WriteBack 3+4", _log.Lines);
        Assert.Equal(1, _files.Open);
    }

    [Fact]
    public void A_medium_that_needs_another_one_says_so_when_it_is_the_last()
    {
        string path = Create("a.img", 4096);
        var exception = Assert.Throws<DiagnosticException>(() => _composer.Open(Pipeline(media: [Slow()]), path, readOnly: false));
        Assert.Equal("SP2013", exception.Code);
    }

    [Fact]
    public void An_unsafe_ordering_makes_the_pipeline_unsafe()
    {
        using OpenedImage image = _composer.Open(Pipeline(ordering: "toy-none"), Create("a.img", 4096), readOnly: false);
        Assert.Equal(["ordering 'toy-none': acknowledged writes are lost in a crash"], image.UnsafeReasons);
    }

    [Fact]
    public void A_pipeline_that_names_a_rejected_plugin_fails_with_that_plugins_diagnostic()
    {
        string path = Create("a.img", 4096);
        var exception = Assert.Throws<DiagnosticException>(() => _composer.Open(Pipeline(ordering: "plain"), path, readOnly: false));
        Assert.Equal("SP1007", exception.Code);
        Assert.Equal(0, _files.Open);
    }

    [Fact]
    public void Several_problems_of_a_pipeline_are_reported_together()
    {
        PipelineDefinition pipeline = Pipeline(ordering: "nope", media: [Slow(("rate", "1")), PlainFile()]);
        var exception = Assert.Throws<InvalidConfigurationException>(() => _composer.Open(pipeline, "x", readOnly: false));
        Assert.Equal(["SP2007", "SP2006"], exception.Errors.Select(error => error.Code));
    }

    [Fact]
    public void Nothing_stays_open_when_opening_fails()
    {
        string cut = Write("cut.img", "TOYDISK1"u8.ToArray());
        Assert.Equal("TOY3", Assert.Throws<DiagnosticException>(() => _composer.Open(Pipeline(), cut, readOnly: false)).Code);
        Assert.Equal(0, _files.Open);
    }

    [Fact]
    public void Read_only_refuses_writes_before_they_reach_the_medium()
    {
        using OpenedImage image = _composer.Open(Pipeline(), Create("a.img", 4096), readOnly: true);
        using IVirtualDisk disk = image.Image.OpenDisk("");
        Assert.True(disk.IsReadOnly);
        Assert.Equal(StorageError.ReadOnly, Assert.Throws<StorageException>(() => disk.Write(0, "x"u8)).Error);
    }

    [Fact]
    public void Creating_is_durable_exclusive_and_leaves_no_file_behind_on_failure()
    {
        string path = Create("a.img", 4096);
        Assert.Equal(1, _files.FullFlushes);
        byte[] before = File.ReadAllBytes(path);
        Assert.Equal("SP3801", Assert.Throws<DiagnosticException>(() => _composer.Create(Pipeline(), path, new CreateRequest(8192))).Code);
        Assert.Equal(before, File.ReadAllBytes(path));

        string failed = Path.Combine(_images, "b.img");
        Assert.Equal("TOY2", Assert.Throws<DiagnosticException>(() => _composer.Create(Pipeline(), failed, new CreateRequest(100))).Code);
        Assert.Equal("SP1022", Assert.Throws<DiagnosticException>(() => _composer.Create(Pipeline(), failed, new CreateRequest(1024))).Code);
        Assert.False(File.Exists(failed));
        Assert.Equal("SP3809", Assert.Throws<DiagnosticException>(() => _composer.Create(Pipeline(), Path.Combine(_images, "no", "c.img"), new CreateRequest(4096))).Code);
        Assert.Equal(0, _files.Open);
    }

    [Fact]
    public void Format_options_of_a_command_line_replace_those_of_the_pipeline()
    {
        PipelineDefinition pipeline = Pipeline();
        pipeline = pipeline with { Format = pipeline.Format with { Options = [OptionSetting.FromCommandLine("gap", "1")] } };
        string path = Path.Combine(_images, "a.img");
        _composer.Create(pipeline, path, new CreateRequest(4096), [OptionSetting.FromCommandLine("gap", "1K")]);
        Assert.Equal(512 + 1024, new FileInfo(path).Length);
        Assert.Equal("SP2004", Assert.Throws<DiagnosticException>(
            () => _composer.Create(pipeline, path + "2", new CreateRequest(4096), [OptionSetting.FromCommandLine("gep", "1K")])).Code);
    }

    [Fact]
    public void The_format_of_an_image_is_what_its_magic_says_and_raw_is_a_guess_said_aloud()
    {
        string toy = Create("a.img", 4096);
        Assert.Equal("toy", _composer.Inspect(toy).Format);
        Assert.Equal("SP2009", Assert.Throws<DiagnosticException>(() => _composer.Choose(null, toy)).Code);

        string raw = Write("r.img", new byte[512]);
        Assert.Equal("raw", _composer.Choose(null, raw).Name);
        Assert.Contains(_log.Lines, line => line.Contains("SP3810", StringComparison.Ordinal));
        Assert.Equal("qcow2-journal", _composer.Choose(null, Path.Combine(_images, "new.img")).Name);
        Assert.Equal("SP2009", Assert.Throws<DiagnosticException>(() => _composer.Choose("row", raw)).Code);
    }

    public void Dispose()
    {
        _catalog.Dispose();
        _fixture.Dispose();
        Directory.Delete(_images, recursive: true);
    }

    internal static PipelineDefinition Pipeline(string ordering = "toy-order", IReadOnlyList<StrategyUse>? media = null) => new()
    {
        Name = "test",
        Format = Use(StrategyKind.Format, "toy"),
        Journal = Use(StrategyKind.Journal, "toy-journal"),
        Ordering = Use(StrategyKind.Ordering, ordering),
        Media = media ?? [PlainFile()],
    };

    private static StrategyUse PlainFile() => Use(StrategyKind.Medium, "file");

    private static StrategyUse Slow(params (string Name, string Value)[] options)
        => Use(StrategyKind.Medium, "toy-slow") with { Options = [.. options.Select(option => OptionSetting.FromCommandLine(option.Name, option.Value))] };

    private static StrategyUse Use(StrategyKind kind, string id) => new(kind, id, [], kind.Label(), null);

    private string Create(string name, long size)
    {
        string path = Path.Combine(_images, name);
        _composer.Create(Pipeline(), path, new CreateRequest(size));
        return path;
    }

    private string Write(string name, byte[] content)
    {
        string path = Path.Combine(_images, name);
        File.WriteAllBytes(path, content);
        return path;
    }

    private byte[] ReadBack(string path, long offset, int length)
    {
        using OpenedImage image = _composer.Open(Pipeline(), path, readOnly: true);
        using IVirtualDisk disk = image.Image.OpenDisk("");
        byte[] buffer = new byte[length];
        disk.Read(offset, buffer);
        return buffer;
    }
}
