using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.CrashKit.TraceFiles;
using StoragePlugins.Tests;

namespace StoragePlugins.Recorder.Tests;

public sealed class RecorderFactoryTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("sp-record-");

    [Fact]
    public void The_log_stands_beside_the_image_unless_the_options_say_otherwise()
    {
        Open("a.qcow2", new RecorderOptions()).Dispose();
        Open("a.qcow2", new RecorderOptions { Log = PathOf("other"), SectorSize = 4096 }).Dispose();
        using DmLogWritesReader beside = DmLogWritesReader.Open(PathOf("a.qcow2.dmlog")), other = DmLogWritesReader.Open(PathOf("other"));
        Assert.Equal((512, 4096), (beside.SectorBytes, other.SectorBytes));
    }

    [Fact]
    public void An_earlier_log_is_replaced()
    {
        using (IStorageMedium first = Open("a", new RecorderOptions())) for (int i = 0; i < 10; i++) first.Write(i * 512, new byte[512], ContentClass.GuestData);
        using (IStorageMedium second = Open("a", new RecorderOptions())) second.Write(0, new byte[512], ContentClass.GuestData);
        using DmLogWritesReader log = DmLogWritesReader.Open(PathOf("a.dmlog"));
        Assert.Equal(1, log.EntryCount);
        Assert.Equal(3 * 512, new FileInfo(PathOf("a.dmlog")).Length);
    }

    [Fact]
    public void A_file_that_is_no_log_is_never_replaced()
    {
        File.WriteAllText(PathOf("notes.txt"), "dear diary");
        Refused("would replace a file that is no such log", new RecorderOptions { Log = PathOf("notes.txt") });
        Assert.Equal("dear diary", File.ReadAllText(PathOf("notes.txt")));
    }

    [Fact]
    public void The_image_is_never_its_own_log() => Refused("cannot be the image itself", new RecorderOptions { Log = Path.Combine(_folder.FullName, ".", "image") });

    [Fact]
    public void A_log_in_a_folder_that_is_not_there_is_refused() => Refused("cannot be opened", new RecorderOptions { Log = PathOf("nowhere/log") });

    [Fact]
    public void Two_recorders_do_not_share_a_log()
    {
        using IStorageMedium first = Open("a", new RecorderOptions { Log = PathOf("log") });
        Refused("cannot be opened", new RecorderOptions { Log = PathOf("log") });
        first.Write(0, new byte[512], ContentClass.GuestData);
    }

    [Fact]
    public void What_is_only_read_is_not_recorded()
    {
        var inner = new MemoryMedium();
        Assert.Same(inner, Open("a", new RecorderOptions(), inner, readOnly: true));
        Assert.False(File.Exists(PathOf("a.dmlog")));
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private void Refused(string why, RecorderOptions options)
    {
        var inner = new MemoryMedium();
        DiagnosticException refused = Assert.Throws<DiagnosticException>(() => Open("image", options, inner));
        Assert.Equal("SP6025", refused.Code);
        Assert.Contains(why, refused.Message, StringComparison.Ordinal);
        Assert.Equal(["dispose"], inner.Log);
    }

    private IStorageMedium Open(string name, RecorderOptions options, IStorageMedium? inner = null, bool readOnly = false) => new RecorderFactory().Open(
        new MediumRequest { Location = PathOf(name), ReadOnly = readOnly, OpenInner = () => inner ?? new MemoryMedium() }, new StrategyContext(options, new StorageMeter(), NullLogger.Instance));

    private string PathOf(string name) => Path.Combine(_folder.FullName, name);
}
