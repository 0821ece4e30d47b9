using Microsoft.Extensions.Logging.Abstractions;

namespace StoragePlugins.SimulatedMedia.Tests;

public sealed class MemoryMediumTests
{
    private const int Page = MemoryImage.PageBytes;

    private readonly StorageMeter _meter = new();
    private readonly string _name = Guid.NewGuid().ToString();

    [Fact]
    public void An_image_outlives_its_user_and_is_found_again_by_its_name()
    {
        using (IStorageMedium medium = Open(create: true)) medium.Write(100, [1, 2, 3], ContentClass.GuestData);
        using (IStorageMedium medium = Open())
        {
            byte[] bytes = new byte[5];
            Assert.Equal(4, medium.Read(99, bytes));
            Assert.Equal([0, 1, 2, 3, 0], bytes);
            medium.SetLength(0);
        }

        Assert.Equal("SP5040", Assert.Throws<DiagnosticException>(() => Open()).Code);
    }

    [Fact]
    public void Random_operations_do_what_they_do_to_a_file()
    {
        var random = new Random(7);
        string path = Path.GetTempFileName();
        using IStorageMedium medium = Open(create: true);
        IDeallocatingMedium deallocating = medium.GetCapability<IDeallocatingMedium>()!;
        using (var file = new FileStream(path, FileMode.Open))
        {
            for (int i = 0; i < 2000; i++)
            {
                long offset = random.Next(6 * Page);
                byte[] data = new byte[random.Next(1, 2 * Page)];
                switch (random.Next(8))
                {
                    case 0:
                        medium.SetLength(offset);
                        file.SetLength(offset);
                        break;
                    case 1:
                        deallocating.TryPunchHole(offset, data.Length);
                        if (offset < file.Length) Write(file, offset, data.AsSpan(0, (int)Math.Min(data.Length, file.Length - offset)));
                        break;
                    case 2:
                        deallocating.TryZeroRange(offset, data.Length);
                        Write(file, offset, data);
                        break;
                    case 3:
                        medium.GetCapability<IPreallocatingMedium>()!.Preallocate(offset, data.Length);
                        Write(file, offset, data);
                        break;
                    default:
                        random.NextBytes(data);
                        medium.Write(offset, data, ContentClass.GuestData);
                        Write(file, offset, data);
                        break;
                }

                Assert.Equal(file.Length, medium.Length);
            }
        }

        byte[] expected = File.ReadAllBytes(path), found = new byte[expected.Length];
        Assert.Equal(expected.Length, medium.Read(0, found));
        Assert.True(expected.AsSpan().SequenceEqual(found));
        File.Delete(path);
        medium.SetLength(0);
    }

    [Fact]
    public void A_large_sparse_image_takes_only_the_pages_that_were_written()
    {
        var image = new MemoryImage("large");
        image.SetLength(1L << 40);
        image.Write((1L << 39) + 10, [1]);
        Assert.Equal(Page, image.UsedBytes);
        ISparseMedium sparse = new MemoryMedium(image, readOnly: true, _meter);
        Assert.Equal((Page, false), sparse.DescribeRun(1L << 39));
        (long length, bool isHole) = sparse.DescribeRun(0);
        Assert.True(isHole && length > Page && length <= 1L << 39, $"{length}");
        image.Deallocate(1L << 39, Page);
        Assert.Equal(0, image.UsedBytes);
    }

    [Fact]
    public void A_write_beyond_the_limit_fails_like_one_on_a_full_disk_and_what_is_there_can_be_overwritten()
    {
        using IStorageMedium medium = Open(create: true, limit: 2 * Page);
        medium.Write(0, new byte[2 * Page], ContentClass.GuestData);
        Assert.Equal(StorageError.NoSpace, Assert.Throws<StorageException>(() => medium.Write(5L * Page, [1], ContentClass.GuestData)).Error);
        medium.Write(Page, new byte[Page], ContentClass.GuestData);
        medium.GetCapability<IDeallocatingMedium>()!.TryPunchHole(0, Page);
        medium.Write(5L * Page, [1], ContentClass.GuestData);
        medium.SetLength(0);
    }

    [Fact]
    public void An_image_has_one_writer_or_many_readers()
    {
        IStorageMedium writer = Open(create: true);
        writer.SetLength(10);
        Assert.Equal("SP5041", Assert.Throws<DiagnosticException>(() => Open()).Code);
        Assert.Equal("SP5041", Assert.Throws<DiagnosticException>(() => Open(readOnly: true)).Code);
        writer.Dispose();
        writer.Dispose(); // once is enough: a second must not release somebody else's use
        using (IStorageMedium one = Open(readOnly: true))
        {
            using IStorageMedium other = Open(readOnly: true);
            Assert.Equal("SP5041", Assert.Throws<DiagnosticException>(() => Open()).Code);
            Assert.Equal(StorageError.ReadOnly, Assert.Throws<StorageException>(() => one.Write(0, [1], ContentClass.GuestData)).Error);
        }

        using IStorageMedium last = Open();
        last.SetLength(0);
    }

    [Fact]
    public void Flushes_barriers_and_zeros_written_ahead_are_counted()
    {
        using IStorageMedium medium = Open(create: true);
        medium.GetCapability<IFlushableMedium>()!.FlushData();
        medium.GetCapability<IFlushableMedium>()!.FlushAll();
        medium.GetCapability<IBarrierMedium>()!.Barrier();
        medium.GetCapability<IPreallocatingMedium>()!.Preallocate(0, 4096);
        medium.Write(0, new byte[512], ContentClass.Map);
        MeterReading reading = _meter.Read();
        Assert.Equal((2, 1, 512, 4096),
            (reading.HostFlushes, reading.Barriers, reading.HostBytesByClass[(int)ContentClass.Map], reading.HostBytesByClass[(int)ContentClass.Preallocation]));
        medium.SetLength(0);
    }

    [Fact]
    public void Names_are_bounded()
    {
        var images = new MemoryImages();
        for (int i = 0; i < MemoryImages.MaxImages; i++) images.Open($"{i}", create: true, readOnly: false, long.MaxValue);
        Assert.Equal("SP5042", Assert.Throws<DiagnosticException>(() => images.Open("one more", create: true, readOnly: false, long.MaxValue)).Code);
    }

    private IStorageMedium Open(bool create = false, bool readOnly = false, long limit = 1 << 30) => new MemoryMediumFactory().Open(
        new MediumRequest { Location = _name, Create = create, ReadOnly = readOnly, OpenInner = () => throw new InvalidOperationException("memory stands on nothing") },
        new StrategyContext(new MemoryOptions { Limit = limit }, _meter, NullLogger.Instance));

    private static void Write(FileStream file, long offset, ReadOnlySpan<byte> data)
    {
        file.Position = offset;
        file.Write(data);
    }
}
