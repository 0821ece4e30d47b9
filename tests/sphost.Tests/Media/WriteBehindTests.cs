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

    private SafeFileHandle? _file;
    private DirectWriter? _direct;
    private WriteBehind? _behind;

    private string FilePath => Path.Combine(_folder.FullName, "file");

    public void Dispose()
    {
        _behind?.Dispose();
        _direct?.Dispose();
        _file?.Dispose();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public void Writes_are_there_once_drained_also_where_one_took_the_place_of_another()
    {
        WriteBehind behind = Behind(4 << 20);
        if (_direct!.Descriptor is null) return; // a file system without O_DIRECT: FileMedium's tests see what it does then
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
        WriteBehind behind = Behind(1 << 20);
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
        WriteBehind behind = Behind(1 << 20);
        Assert.False(behind.TryWrite(offset, new byte[length]));
        Assert.Null(behind.Drain());
    }

    [Fact]
    public void Nothing_is_begun_any_more_once_it_was_stopped()
    {
        WriteBehind behind = Behind(1 << 20);
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
        if (SealableBehind() is not { } behind) return;
        Assert.True(behind.TryWrite(0, new byte[Page]));
        Seal();
        Assert.False(behind.TryWrite(0, new byte[Page]));
        Assert.False(behind.TryWrite(0, new byte[3 * WriteBehind.SlotBytes]));
        Assert.Null(behind.Drain());
    }

    [Fact]
    public void A_write_that_was_put_off_is_begun_by_whoever_waits_for_it()
    {
        WriteBehind behind = Behind(4 << 20);
        byte[] data = [.. Enumerable.Repeat((byte)7, 3 * WriteBehind.SlotBytes)];
        if (!behind.TryWrite(0, data, isPutOff: true)) return;
        Assert.Equal(3, behind.UnderWay);
        Assert.NotEqual(data, File.ReadAllBytes(FilePath)[..data.Length]);
        behind.WaitFor(WriteBehind.SlotBytes, 1);
        Assert.True(behind.TryWrite(1 << 20, data, isPutOff: true));
        Assert.Null(behind.Drain());
        byte[] written = File.ReadAllBytes(FilePath);
        Assert.Equal(data, written[..data.Length]);
        Assert.Equal(data, written[(1 << 20)..((1 << 20) + data.Length)]);
    }

    [Fact]
    public void More_writes_are_put_off_than_there_is_room_for()
    {
        WriteBehind behind = Behind(4 << 20);
        byte[] expected = new byte[4 << 20];
        new Random(5).NextBytes(expected);
        for (int at = 0; at < expected.Length; at += WriteBehind.SlotBytes)
        {
            if (!behind.TryWrite(at, expected.AsSpan(at, WriteBehind.SlotBytes), isPutOff: true)) return;
        }

        behind.Start(0, 0);
        Assert.Null(behind.Drain());
        Assert.Equal(expected, File.ReadAllBytes(FilePath));
    }

    [Fact]
    public void What_is_refused_after_it_was_put_off_fails_this_flush_and_every_later_one()
    {
        if (SealableBehind() is not { } behind) return;
        Assert.True(behind.TryWrite(0, new byte[Page]));
        Assert.Null(behind.Drain());
        Assert.True(behind.TryWrite(Page, new byte[Page], isPutOff: true));
        Seal();
        behind.Start(Page, Page);
        Assert.Equal(Page, behind.Drain()!.Offset);
        Assert.Equal(Page, behind.Drain()!.Offset);
        Assert.False(behind.TryWrite(0, new byte[Page], isPutOff: true));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_file_that_is_written_and_flushed_at_random_reads_as_it_was_written(bool isPlugged)
    {
        File.WriteAllBytes(FilePath, new byte[2 << 20]);
        byte[] expected = new byte[2 << 20];
        using (IStorageMedium medium = Open())
        {
            var random = new Random(7);
            var plug = new SubmissionPlug();
            for (int i = 0; i < 3000; i++)
            {
                if (isPlugged && i % 5 == 0) plug.Set();
                Step(medium, random, expected, 0, expected.Length);
                if (isPlugged && i % 5 == 4) plug.Release();
            }
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
                var plug = new SubmissionPlug();
                for (int i = 0; i < 500; i++)
                {
                    if (t % 2 == 0) plug.Set();
                    Step(medium, random, expected, t * share, share);
                    plug.Release();
                }
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

    private WriteBehind Behind(int fileBytes)
    {
        File.WriteAllBytes(FilePath, new byte[fileBytes]);
        return Behind(File.OpenHandle(FilePath, FileMode.Open, FileAccess.ReadWrite));
    }

    // A file in memory that can be made to refuse each write; null where tmpfs does not know O_DIRECT (before Linux 6.6).
    private WriteBehind? SealableBehind()
    {
        SafeFileHandle file = CreateMemoryFile("sealed", AllowSealing);
        WriteBehind behind = Behind(file);
        if (file.IsInvalid || _direct!.Descriptor is null) return null;
        RandomAccess.SetLength(file, 1 << 20);
        return behind;
    }

    private void Seal() => Assert.Equal(0, Control(_file!, AddSeals, SealWrite));

    private WriteBehind Behind(SafeFileHandle file)
    {
        _file = file;
        _direct = new DirectWriter(file);
        return _behind = new WriteBehind(_direct);
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
