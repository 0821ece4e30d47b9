using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;
using StoragePlugins.Media;

namespace StoragePlugins.Host.Tests.Media;

public sealed partial class WriteBehindTests : IDisposable
{
    private const int Page = DirectWriter.Alignment;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("sp-behind-");
    private readonly StorageMeter _meter = new();

    private string FilePath => Path.Combine(_folder.FullName, "file");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void Writes_are_there_once_drained_also_where_one_took_the_place_of_another()
    {
        File.WriteAllBytes(FilePath, new byte[4 << 20]);
        using SafeFileHandle file = File.OpenHandle(FilePath, FileMode.Open, FileAccess.ReadWrite);
        using var direct = new DirectWriter(file);
        using var behind = new WriteBehind(direct);
        if (direct.Descriptor is null) return; // a file system without O_DIRECT: FileMedium's tests see what it does then
        byte[] expected = new byte[4 << 20];
        var random = new Random(3);
        for (int i = 0; i < 400; i++)
        {
            int offset = random.Next(64) * Page, length = random.Next(1, 40) * Page;
            random.NextBytes(expected.AsSpan(offset, length));
            Assert.True(behind.TryWrite(offset, expected.AsSpan(offset, length)));
        }

        Assert.Null(behind.Drain());
        Assert.False(behind.IsUnderWay(0, long.MaxValue));
        Assert.Equal(expected, File.ReadAllBytes(FilePath));
    }

    [Fact]
    public void Two_writes_of_one_place_are_never_under_way_at_once()
    {
        File.WriteAllBytes(FilePath, new byte[1 << 20]);
        using SafeFileHandle file = File.OpenHandle(FilePath, FileMode.Open, FileAccess.ReadWrite);
        using var direct = new DirectWriter(file);
        using var behind = new WriteBehind(direct);
        for (int i = 0; i < 100; i++)
        {
            behind.TryWrite((i % 2) * Page, new byte[2 * Page]);
            Assert.InRange(behind.UnderWay, 0, 1);
        }
    }

    [Theory]
    [InlineData(512, Page)]
    [InlineData(0, 512)]
    [InlineData(0, 0)]
    [InlineData(0, (WriteBehind.Slots * WriteBehind.SlotBytes) + Page)]
    public void What_does_not_fit_is_declined(int offset, int length)
    {
        File.WriteAllBytes(FilePath, new byte[1 << 20]);
        using SafeFileHandle file = File.OpenHandle(FilePath, FileMode.Open, FileAccess.ReadWrite);
        using var direct = new DirectWriter(file);
        using var behind = new WriteBehind(direct);
        Assert.False(behind.TryWrite(offset, new byte[length]));
        Assert.Null(behind.Drain());
    }

    [Fact]
    public void Nothing_is_begun_any_more_once_it_was_stopped()
    {
        File.WriteAllBytes(FilePath, new byte[1 << 20]);
        using SafeFileHandle file = File.OpenHandle(FilePath, FileMode.Open, FileAccess.ReadWrite);
        using var direct = new DirectWriter(file);
        using var behind = new WriteBehind(direct);
        byte[] data = [.. Enumerable.Repeat((byte)5, Page)];
        bool begun = behind.TryWrite(0, data);
        behind.Stop();
        Assert.False(behind.IsUnderWay(0, Page));
        if (begun) Assert.Equal(data, File.ReadAllBytes(FilePath)[..Page]);
        Assert.False(behind.TryWrite(0, data));
    }

    [Fact]
    public void What_the_file_system_refuses_at_once_is_declined_and_no_failure_of_a_flush()
    {
        // A file in memory that may not be written any more refuses each write, as a full file system does.
        using SafeFileHandle file = CreateMemoryFile("sealed", AllowSealing);
        using var direct = new DirectWriter(file);
        using var behind = new WriteBehind(direct);
        if (file.IsInvalid || direct.Descriptor is null) return; // tmpfs knows O_DIRECT from Linux 6.6 on
        RandomAccess.SetLength(file, 1 << 20);
        Assert.True(behind.TryWrite(0, new byte[Page]));
        Assert.Equal(0, Control(file, AddSeals, SealWrite));
        Assert.False(behind.TryWrite(0, new byte[Page]));
        Assert.False(behind.TryWrite(0, new byte[3 * WriteBehind.SlotBytes]));
        Assert.Null(behind.Drain());
    }

    [Fact]
    public void A_file_that_is_written_and_flushed_at_random_reads_as_it_was_written()
    {
        File.WriteAllBytes(FilePath, new byte[2 << 20]);
        byte[] expected = new byte[2 << 20];
        using (IStorageMedium medium = Open())
        {
            var random = new Random(7);
            for (int i = 0; i < 3000; i++) Step(medium, random, expected, 0, expected.Length);
        }

        Assert.Equal(expected, File.ReadAllBytes(FilePath));
    }

    [Fact]
    public void Threads_that_write_flush_and_read_at_once_find_what_they_wrote()
    {
        const int share = 1 << 20, threads = 4;
        File.WriteAllBytes(FilePath, new byte[threads * share]);
        byte[] expected = new byte[threads * share];
        using (IStorageMedium medium = Open())
        {
            Parallel.For(0, threads, new ParallelOptions { MaxDegreeOfParallelism = threads }, t =>
            {
                var random = new Random(t);
                for (int i = 0; i < 500; i++) Step(medium, random, expected, t * share, share);
            });
        }

        Assert.Equal(expected, File.ReadAllBytes(FilePath));
    }

    [Fact]
    public void Only_what_is_written_already_is_an_overwrite()
    {
        File.WriteAllBytes(FilePath, new byte[1 << 20]);
        using IStorageMedium medium = Open();
        SafeFileHandle file = medium.GetCapability<IFileMedium>()!.Handle;
        medium.GetCapability<IFlushableMedium>()!.FlushAll();
        if (!FileExtents.IsOverwrite(file, 0, 1 << 20)) return; // a file system that does not say
        Assert.True(FileExtents.IsOverwrite(file, 64 << 10, 128 << 10));
        Assert.False(FileExtents.IsOverwrite(file, (1 << 20) - Page, 2 * Page));
        Assert.False(FileExtents.IsOverwrite(file, 2 << 20, Page));
        medium.GetCapability<IDeallocatingMedium>()!.TryPunchHole(256 << 10, Page);
        Assert.False(FileExtents.IsOverwrite(file, 192 << 10, 128 << 10));
        Assert.True(FileExtents.IsOverwrite(file, (256 << 10) + Page, 64 << 10));
        medium.GetCapability<IPreallocatingMedium>()!.Preallocate(256 << 10, Page);
        Assert.True(FileExtents.IsOverwrite(file, 192 << 10, 128 << 10));
    }

    [Fact]
    public void Who_has_the_descriptor_finds_everything_by_it()
    {
        File.WriteAllBytes(FilePath, new byte[1 << 20]);
        using IStorageMedium medium = Open();
        byte[] data = new byte[64 << 10];
        for (byte i = 1; i < 20; i++)
        {
            Array.Fill(data, i);
            medium.Write(0, data, ContentClass.GuestData);
            if (i % 3 == 0) medium.GetCapability<IFlushableMedium>()!.FlushData();
        }

        byte[] read = new byte[data.Length];
        RandomAccess.Read(medium.GetCapability<IFileMedium>()!.Handle, read, 0);
        Assert.Equal(data, read);
    }

    // Mostly what goes past the page cache: pages written, and flushed soon.
    private static void Step(IStorageMedium medium, Random random, byte[] expected, int start, int length)
    {
        int unit = random.Next(8) == 0 ? 512 : Page;
        int at = start + (random.Next(length / unit) * unit);
        int bytes = Math.Min(random.Next(1, 40) * unit, start + length - at);
        switch (random.Next(10))
        {
            case 0:
                byte[] read = new byte[bytes];
                Assert.Equal(bytes, medium.Read(at, read));
                Assert.True(expected.AsSpan(at, bytes).SequenceEqual(read), $"{bytes} at {at}");
                break;
            case 1 when medium.GetCapability<INonBlockingMedium>()!.TryRead(at, read = new byte[bytes]):
                Assert.True(expected.AsSpan(at, bytes).SequenceEqual(read), $"{bytes} at {at}");
                break;
            case 2 when medium.GetCapability<IDeallocatingMedium>()!.TryPunchHole(at, bytes):
                expected.AsSpan(at, bytes).Clear();
                break;
            case 3 when unit == Page:
                medium.GetCapability<IPreallocatingMedium>()!.Preallocate(at, bytes);
                expected.AsSpan(at, bytes).Clear();
                break;
            case 4 or 5 or 6:
                medium.GetCapability<IFlushableMedium>()!.FlushData();
                break;
            default:
                random.NextBytes(expected.AsSpan(at, bytes));
                medium.Write(at, expected.AsSpan(at, bytes), ContentClass.GuestData);
                break;
        }
    }

    private IStorageMedium Open() => new FileMediumFactory().Open(
        new MediumRequest { Location = FilePath, OpenInner = () => throw new InvalidOperationException("a file stands on nothing") },
        new StrategyContext(null, _meter, NullLogger.Instance));

    private const uint AllowSealing = 2;
    private const int AddSeals = 1033;
    private const int SealWrite = 8;

    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle CreateMemoryFile(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Control(SafeFileHandle file, int command, int argument);
}
