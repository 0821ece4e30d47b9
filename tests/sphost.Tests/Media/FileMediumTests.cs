using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Media;

namespace StoragePlugins.Host.Tests.Media;

public sealed class FileMediumTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("sp-medium-");
    private readonly StorageMeter _meter = new();

    private string FilePath => Path.Combine(_folder.FullName, "file");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void Written_bytes_are_read_and_the_length_follows()
    {
        using IStorageMedium medium = Open(create: true);
        Assert.Equal(0, medium.Length);
        medium.Write(5000, [1, 2, 3], ContentClass.Map);
        Assert.Equal(5003, medium.Length);
        byte[] read = new byte[10];
        Assert.Equal(4, medium.Read(4999, read));
        Assert.Equal([0, 1, 2, 3], read[..4]);
        Assert.Equal(0, medium.Read(9000, read));
        Assert.Equal(3, _meter.Read().HostBytesByClass[(int)ContentClass.Map]);
    }

    [Fact]
    public void Cached_bytes_are_read_without_waiting_and_what_is_not_there_is_declined()
    {
        using IStorageMedium medium = Open(create: true);
        byte[] data = new byte[100_000];
        new Random(1).NextBytes(data);
        medium.Write(0, data, ContentClass.GuestData);
        INonBlockingMedium nonBlocking = medium.GetCapability<INonBlockingMedium>()!;
        byte[] read = new byte[data.Length];
        Assert.True(nonBlocking.TryRead(0, read));
        Assert.Equal(data, read);
        Assert.False(nonBlocking.TryRead(data.Length, read));
    }

    [Fact]
    public void Holes_can_be_punched_and_are_reported()
    {
        using IStorageMedium medium = Open(create: true);
        byte[] data = new byte[1 << 20];
        Array.Fill(data, (byte)1);
        medium.Write(0, data, ContentClass.GuestData);
        Assert.True(medium.GetCapability<IDeallocatingMedium>()!.TryPunchHole(256 << 10, 512 << 10));
        ISparseMedium sparse = medium.GetCapability<ISparseMedium>()!;
        Assert.Equal((256L << 10, false), sparse.DescribeRun(0));
        Assert.Equal((512L << 10, true), sparse.DescribeRun(256 << 10));
        Assert.Equal((256L << 10, false), sparse.DescribeRun(768 << 10));
        medium.Read(0, data);
        Assert.Equal(0, data[300 << 10]);
        Assert.Equal(1 << 20, medium.Length);
    }

    [Fact]
    public void Zeroed_and_preallocated_ranges_read_as_zeros_and_grow_the_file()
    {
        using IStorageMedium medium = Open(create: true);
        medium.Write(0, [1, 1, 1, 1], ContentClass.GuestData);
        medium.GetCapability<IPreallocatingMedium>()!.Preallocate(0, (3 << 20) + 5);
        Assert.Equal((3 << 20) + 5, medium.Length);
        byte[] read = new byte[4];
        medium.Read(0, read);
        Assert.Equal(new byte[4], read);
        if (medium.GetCapability<IDeallocatingMedium>()!.TryZeroRange(3 << 20, 1 << 20)) Assert.Equal(4 << 20, medium.Length);
    }

    [Theory]
    [InlineData(0, 1 << 20)]
    [InlineData(64 << 10, 3 << 20)]
    [InlineData(4096, 4096)]
    [InlineData(512, 8192)]
    public void Zeros_written_ahead_take_the_place_of_what_the_page_cache_still_held(int offset, int length)
    {
        using IStorageMedium medium = Open(create: true);
        byte[] before = new byte[offset + length];
        Array.Fill(before, (byte)7);
        medium.Write(0, before, ContentClass.GuestData);
        for (int round = 0; round < 2; round++)
        {
            medium.GetCapability<IPreallocatingMedium>()!.Preallocate(offset, length);
            byte[] read = new byte[offset + length];
            Assert.Equal(read.Length, medium.Read(0, read));
            Assert.Equal(offset, read.AsSpan().IndexOf((byte)0) is var first and >= 0 ? first : offset);
            Assert.Equal(-1, read.AsSpan(offset).IndexOfAnyExcept((byte)0));
            medium.Write(offset, before.AsSpan(offset), ContentClass.GuestData);
            medium.Read(0, read);
            Assert.Equal(before, read);
        }

        Assert.Equal(2 * length, _meter.Read().HostBytesByClass[(int)ContentClass.Preallocation]);
    }

    [Fact]
    public void What_is_written_ahead_is_allocated()
    {
        using IStorageMedium medium = Open(create: true);
        medium.GetCapability<IPreallocatingMedium>()!.Preallocate(1 << 20, 2 << 20);
        Assert.Equal(3 << 20, medium.Length);
        Assert.Equal((2 << 20, false), medium.GetCapability<ISparseMedium>()!.DescribeRun(1 << 20));
    }

    [Fact]
    public void Flush_is_fdatasync_and_full_flush_is_fsync()
    {
        // What the kernel is asked for is seen by strace in the end-to-end tests; here only that both succeed and are counted.
        using IStorageMedium medium = Open(create: true);
        medium.GetCapability<IFlushableMedium>()!.FlushData();
        medium.GetCapability<IFlushableMedium>()!.FlushAll();
        Assert.Equal(2, _meter.Read().HostFlushes);
    }

    [Fact]
    public void Full_device_is_told_apart_from_a_failing_one()
    {
        using IStorageMedium medium = new FileMediumFactory().Open(Request("/dev/full", create: false), Context());
        StorageException full = Assert.Throws<StorageException>(() => medium.Write(0, [1], ContentClass.GuestData));
        Assert.Equal(StorageError.NoSpace, full.Error);
        Assert.Contains("No space left", full.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_writers_of_one_file_are_kept_apart_and_the_second_is_told()
    {
        using IStorageMedium first = Open(create: true);
        DiagnosticException refused = Assert.Throws<DiagnosticException>(() => Open(create: false));
        Assert.Equal("SP3020", refused.Code);
        Assert.Throws<DiagnosticException>(() => Open(create: false, readOnly: true));
    }

    [Fact]
    public void Two_readers_may_share_and_keep_writers_out()
    {
        File.WriteAllBytes(FilePath, new byte[100]);
        using IStorageMedium first = Open(create: false, readOnly: true);
        using IStorageMedium second = Open(create: false, readOnly: true);
        Assert.Equal("SP3020", Assert.Throws<DiagnosticException>(() => Open(create: false)).Code);
        Assert.Equal(StorageError.ReadOnly, Assert.Throws<StorageException>(() => second.Write(0, [1], ContentClass.GuestData)).Error);
    }

    [Fact]
    public void Qemu_and_this_host_keep_each_other_out()
    {
        using (Open(create: true))
        {
            Assert.Contains("lock", QemuIo("-f", "raw", "-c", "read 0 0").Errors, StringComparison.Ordinal);
        }

        using Process qemu = Process.Start(new ProcessStartInfo("qemu-io", ["-f", "raw", FilePath]) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        try
        {
            qemu.StandardInput.WriteLine("length");
            qemu.StandardOutput.ReadLine();
            Assert.Equal("SP3020", Assert.Throws<DiagnosticException>(() => Open(create: false)).Code);
        }
        finally
        {
            qemu.StandardInput.WriteLine("quit");
            qemu.WaitForExit();
        }

        Open(create: false).Dispose();
    }

    [Fact]
    public void Write_cache_of_the_device_is_what_the_kernel_says()
    {
        using IStorageMedium medium = Open(create: true);
        using Process findmnt = Process.Start(new ProcessStartInfo("findmnt", ["-no", "SOURCE", "-T", FilePath]) { RedirectStandardOutput = true })!;
        string device = Path.GetFileName(findmnt.StandardOutput.ReadToEnd().Trim());
        string told = $"/sys/block/{device}/queue/write_cache";
        WriteCacheKind expected = !File.Exists(told) ? WriteCacheKind.Unknown
            : File.ReadAllText(told).Trim() == "write through" ? WriteCacheKind.WriteThrough : WriteCacheKind.Volatile;
        if (expected != WriteCacheKind.Unknown) Assert.Equal(expected, medium.GetCapability<IWriteCacheMedium>()!.WriteCache);
        Assert.Equal(WriteCacheKind.Unknown, DeviceWriteCache.Of("/dev/shm"));
    }

    [Theory]
    [InlineData("missing/file")]
    [InlineData("nothing")]
    public void Missing_file_is_one_clear_line(string name)
    {
        DiagnosticException error = Assert.Throws<DiagnosticException>(() => new FileMediumFactory().Open(Request(Path.Combine(_folder.FullName, name), create: false), Context()));
        Assert.Equal("SP5001", error.Code);
    }

    private (string Output, string Errors) QemuIo(params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo("qemu-io", [.. arguments, FilePath]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (output, errors.GetAwaiter().GetResult());
    }

    [Fact]
    public void Removed_file_is_gone_and_one_that_took_its_name_stays()
    {
        using (IStorageMedium medium = Open(create: true))
        {
            medium.GetCapability<IRemovableMedium>()!.Remove();
            Assert.False(File.Exists(FilePath));
            File.WriteAllText(FilePath, "another");
            medium.GetCapability<IRemovableMedium>()!.Remove();
        }

        Assert.Equal("another", File.ReadAllText(FilePath));
    }

    private IStorageMedium Open(bool create, bool readOnly = false) => new FileMediumFactory().Open(Request(FilePath, create, readOnly), Context());

    private StrategyContext Context() => new(null, _meter, NullLogger.Instance);

    private static MediumRequest Request(string path, bool create, bool readOnly = false) => new()
    {
        Location = path,
        Create = create,
        ReadOnly = readOnly,
        OpenInner = () => throw new InvalidOperationException("a file stands on nothing"),
    };
}
