using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Media;
using StoragePlugins.Media.Mapping;
using StoragePlugins.Host.Tests.Pipelines;

namespace StoragePlugins.Host.Tests.Media.Mapping;

public sealed class PmMediumTests : IDisposable
{
    private const int MiB = 1 << 20;

    private readonly DirectoryInfo _folder = Directory.CreateDirectory("/dev/shm/sp-pm-" + Guid.NewGuid().ToString("N"));
    private readonly StorageMeter _meter = new();
    private readonly PmMediumOptions _options = new() { Emulated = true };

    private string FilePath => Path.Combine(_folder.FullName, "image");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void Written_bytes_are_read_in_the_file_too_and_the_length_is_exact_once_closed()
    {
        byte[] data = new byte[5 * MiB + 17];
        new Random(3).NextBytes(data);
        using (IStorageMedium medium = Open(create: true))
        {
            medium.Write(100, data.AsSpan(100), ContentClass.GuestData);
            medium.Write(0, data.AsSpan(0, 100), ContentClass.Header);
            Assert.Equal(data.Length, medium.Length);
            byte[] read = new byte[data.Length + 50];
            Assert.Equal(data.Length, medium.Read(0, read));
            Assert.Equal(data, read[..data.Length]);
            Assert.Equal(0, medium.Read(data.Length, read));
        }

        Assert.Equal(data, File.ReadAllBytes(FilePath));
    }

    [Fact]
    public void Flush_of_an_image_in_persistent_memory_is_no_host_flush()
    {
        using IStorageMedium medium = Open(create: true);
        for (int i = 0; i < 100; i++)
        {
            medium.Write(i * 65536L, new byte[65536], ContentClass.GuestData);
            medium.GetCapability<IFlushableMedium>()!.FlushData();
        }

        Assert.Equal(0, _meter.Read().HostFlushes);
        Assert.Equal(100 * 65536, _meter.Read().HostWrittenBytes);
    }

    [Fact]
    public void Flush_of_an_image_on_a_disk_is_a_host_flush()
    {
        string path = Path.GetTempFileName();
        _options.Emulated = false;
        using (IStorageMedium medium = Open(create: true, path))
        {
            medium.Write(0, [1, 2, 3], ContentClass.GuestData);
            medium.GetCapability<IFlushableMedium>()!.FlushData();
            Assert.Equal(1, _meter.Read().HostFlushes);
            Assert.Null(medium.GetCapability<INonBlockingMedium>());
        }

        Assert.Equal([1, 2, 3], File.ReadAllBytes(path));
        File.Delete(path);
    }

    [Fact]
    public void Gap_and_what_was_cut_off_read_as_zeros_after_growth()
    {
        using IStorageMedium medium = Open(create: true);
        medium.Write(0, Enumerable.Repeat((byte)5, 3 * MiB).ToArray(), ContentClass.GuestData);
        medium.SetLength(100);
        Assert.Equal(100, new FileInfo(FilePath).Length);
        medium.Write(4 * MiB, [6], ContentClass.GuestData);
        byte[] read = new byte[4 * MiB + 1];
        Assert.Equal(read.Length, medium.Read(0, read));
        Assert.All(read[..100], value => Assert.Equal(5, value));
        Assert.Equal(-1, read.AsSpan(100, 4 * MiB - 100).IndexOfAnyExcept((byte)0));
        Assert.Equal(6, read[^1]);
    }

    [Fact]
    public void Holes_are_punched_reported_and_written_again()
    {
        using IStorageMedium medium = Open(create: true);
        medium.Write(0, Enumerable.Repeat((byte)5, 8 * MiB).ToArray(), ContentClass.GuestData);
        Assert.True(medium.GetCapability<IDeallocatingMedium>()!.TryPunchHole(2 * MiB, 4 * MiB));
        Assert.Equal((4L * MiB, true), medium.GetCapability<ISparseMedium>()!.DescribeRun(2 * MiB));
        byte[] read = new byte[4 * MiB];
        medium.Read(2 * MiB, read);
        Assert.Equal(-1, read.AsSpan().IndexOfAnyExcept((byte)0));
        medium.Write(3 * MiB, [7], ContentClass.GuestData);
        medium.Read(3 * MiB, read.AsSpan(0, 1));
        Assert.Equal(7, read[0]);
    }

    [Fact]
    public void File_cut_under_the_image_is_an_error_of_reads_writes_and_flushes()
    {
        using IStorageMedium medium = Open(create: true);
        medium.Write(0, new byte[4 * MiB], ContentClass.GuestData);
        using (FileStream file = new(FilePath, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) file.SetLength(4096);
        Assert.Equal(StorageError.Io, Assert.Throws<StorageException>(() => medium.Write(3 * MiB, [1], ContentClass.GuestData)).Error);
        Assert.Throws<StorageException>(() => medium.Read(0, new byte[10]));
        Assert.Throws<DurabilityLostException>(medium.GetCapability<IFlushableMedium>()!.FlushData);
        medium.Dispose();
        Assert.Equal(4096, new FileInfo(FilePath).Length);
    }

    [Fact]
    public void Image_cut_by_its_own_user_while_others_read_is_not_taken_for_lost()
    {
        using IStorageMedium medium = Open(create: true);
        using var stop = new CancellationTokenSource();
        Task[] readers = [.. Enumerable.Range(0, 2).Select(seed => Task.Run(() =>
        {
            byte[] buffer = new byte[64 << 10];
            var random = new Random(seed);
            while (!stop.IsCancellationRequested) medium.Read(random.NextInt64(8 * MiB), buffer);
        }))];
        for (int i = 0; i < 200; i++)
        {
            medium.Write(0, new byte[4 * MiB], ContentClass.GuestData);
            medium.SetLength(i);
        }

        stop.Cancel();
        Task.WaitAll(readers);
        Assert.Equal(199, medium.Length);
    }

    [Fact]
    public void Emulation_is_said_aloud_and_memory_is_refused_without_it()
    {
        var log = new RecordingLogger();
        File.WriteAllBytes(FilePath, new byte[10]);
        new PmMediumFactory().Open(Request(FilePath, create: false), new StrategyContext(_options, _meter, log)).Dispose();
        Assert.Contains(log.Lines, line => line.Contains("SP5025", StringComparison.Ordinal));
        _options.Emulated = false;
        Assert.Equal("SP5021", Assert.Throws<DiagnosticException>(() => Open(create: false)).Code);
        // The lock of the refused attempt is gone.
        _options.Emulated = true;
        Open(create: false).Dispose();
    }

    [Fact]
    public void Medium_that_cannot_be_mapped_is_refused()
    {
        var request = new MediumRequest { Location = "image", OpenInner = () => new StoragePlugins.Host.Tests.Media.Mapping.Unmappable() };
        Assert.Equal("SP5020", Assert.Throws<DiagnosticException>(() => new PmMediumFactory().Open(request, new StrategyContext(_options, _meter, NullLogger.Instance))).Code);
    }

    private IStorageMedium Open(bool create, string? path = null) =>
        new PmMediumFactory().Open(Request(path ?? FilePath, create), new StrategyContext(_options, _meter, NullLogger.Instance));

    private MediumRequest Request(string path, bool create) => new()
    {
        Location = path,
        Create = create,
        Truncate = create,
        OpenInner = () => new FileMediumFactory().Open(
            new MediumRequest { Location = path, Create = create, Truncate = create, OpenInner = () => throw new NotSupportedException() },
            new StrategyContext(null, _meter, NullLogger.Instance)),
    };
}

/// <summary>A medium without any ability.</summary>
internal sealed class Unmappable : IStorageMedium
{
    public string Name => "plain";

    public long Length => 0;

    public bool IsReadOnly => false;

    public int Read(long offset, Span<byte> buffer) => 0;

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content) => throw new NotSupportedException();

    public void SetLength(long length) => throw new NotSupportedException();

    public T? GetCapability<T>() where T : class => null;

    public void Dispose()
    {
    }
}
