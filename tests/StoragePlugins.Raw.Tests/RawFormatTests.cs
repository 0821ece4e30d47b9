using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Tests;

namespace StoragePlugins.Raw.Tests;

public sealed class RawFormatTests
{
    private static readonly StrategyContext s_context = new(null, new StorageMeter(), NullLogger.Instance);

    [Fact]
    public void Bytes_of_the_disk_are_the_bytes_of_the_medium()
    {
        (IVirtualDisk disk, Ordered medium) = Open(100);
        disk.Write(10, [1, 2, 3]);
        byte[] read = new byte[5];
        disk.Read(9, read);
        Assert.Equal([0, 1, 2, 3, 0], read);
        Assert.Equal(100, disk.Length);
        Assert.Contains("write 10+3 GuestData", medium.Log);
    }

    [Fact]
    public void Fua_flushes_and_a_plain_write_does_not()
    {
        (IVirtualDisk disk, Ordered medium) = Open(100);
        disk.Write(0, [1]);
        Assert.DoesNotContain("flush", medium.Log);
        disk.Write(0, [1], WriteFlags.ForceUnitAccess);
        Assert.Equal("flush", medium.Log[^1]);
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(100, 1)]
    [InlineData(99, 2)]
    [InlineData(long.MaxValue, 1)]
    public void Request_outside_the_disk_is_refused_and_writes_nothing(long offset, int length)
    {
        (IVirtualDisk disk, Ordered medium) = Open(100);
        int before = medium.Log.Count;
        Assert.Equal(StorageError.InvalidRange, Assert.Throws<StorageException>(() => disk.Read(offset, new byte[length])).Error);
        Assert.Equal(StorageError.InvalidRange, Assert.Throws<StorageException>(() => disk.Write(offset, new byte[length])).Error);
        Assert.Equal(StorageError.InvalidRange, Assert.Throws<StorageException>(() => disk.GetCapability<IDiscardDisk>()!.Discard(offset, length)).Error);
        Assert.Equal(before, medium.Log.Count);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Zeroed_range_reads_as_zeros_whatever_the_file_system_can(bool cannotDeallocate)
    {
        var medium = new Ordered { CannotDeallocate = cannotDeallocate };
        medium.SetLength(1 << 20);
        IVirtualDisk disk = Open(medium, readOnly: false);
        byte[] data = new byte[1 << 20];
        Array.Fill(data, (byte)5);
        disk.Write(0, data);
        disk.GetCapability<IZeroingDisk>()!.WriteZeroes(1000, 700_000, mayUnmap: true);
        disk.Read(0, data);
        Assert.Equal(5, data[999]);
        Assert.All(data[1000..701_000], b => Assert.Equal(0, b));
        Assert.Equal(5, data[701_000]);
        Assert.Equal(!cannotDeallocate, medium.Log.Contains("punch 1000+700000"));
    }

    [Fact]
    public void Resize_is_durable_and_moves_the_end()
    {
        (IVirtualDisk disk, Ordered medium) = Open(100);
        disk.GetCapability<IResizableDisk>()!.Resize(200);
        Assert.Equal(200, disk.Length);
        Assert.Equal("flush", medium.Log[^1]);
        disk.Write(199, [1]);
    }

    [Fact]
    public void Read_only_disk_refuses_every_change()
    {
        var medium = new Ordered();
        medium.SetLength(100);
        IVirtualDisk disk = Open(medium, readOnly: true);
        Assert.Equal(StorageError.ReadOnly, Assert.Throws<StorageException>(() => disk.Write(0, [1])).Error);
        Assert.Equal(StorageError.ReadOnly, Assert.Throws<StorageException>(() => disk.GetCapability<IZeroingDisk>()!.WriteZeroes(0, 1, true)).Error);
        Assert.Equal(StorageError.ReadOnly, Assert.Throws<StorageException>(() => disk.GetCapability<IResizableDisk>()!.Resize(1)).Error);
        disk.Flush();
    }

    [Fact]
    public void Creation_sets_the_size_and_refuses_what_raw_cannot_do()
    {
        var medium = new MemoryMedium();
        new RawFormat().Create(medium, new CreateRequest(12345), s_context);
        Assert.Equal(12345, medium.Length);
        Assert.Equal("SP3012", Assert.Throws<DiagnosticException>(() => new RawFormat().Create(medium, new CreateRequest(-1), s_context)).Code);
        Assert.Equal("SP3013", Assert.Throws<DiagnosticException>(() => new RawFormat().Create(medium, new CreateRequest(1, "b", "raw"), s_context)).Code);
        Assert.Equal(FormatMatch.Possible, new RawFormat().Probe(medium));
    }

    private static (IVirtualDisk Disk, Ordered Medium) Open(long length)
    {
        var medium = new Ordered();
        medium.SetLength(length);
        return (Open(medium, readOnly: false), medium);
    }

    private static IVirtualDisk Open(Ordered medium, bool readOnly) => new RawFormat().Open(new OpenRequest
    {
        Storage = medium,
        ReadOnly = readOnly,
        JournalId = "ordered",
        OpenJournal = (_, _) => throw new InvalidOperationException("raw has no metadata"),
        OpenBacking = _ => throw new InvalidOperationException("raw has no backing file"),
    }, s_context).OpenDisk("");

    private sealed class Ordered : MemoryMedium, IOrderedMedium
    {
        public void Barrier() => Log.Add("barrier");

        public void Flush() => Log.Add("flush");
    }
}
