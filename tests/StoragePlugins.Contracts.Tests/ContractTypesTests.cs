using Microsoft.Extensions.Logging.Abstractions;

namespace StoragePlugins.Tests;

public sealed class ContractTypesTests
{
    [Fact]
    public void Transaction_keeps_bytes_and_order_and_can_be_used_again()
    {
        var transaction = new MetadataTransaction();
        for (int round = 0; round < 2; round++)
        {
            byte[] source = [1, 2, 3];
            transaction.Add(0, ContentClass.Map, 10, source);
            source[0] = 99;
            transaction.Add(0, ContentClass.Map, 10, [4]);
            transaction.Add(7, ContentClass.Header, 0, new byte[10_000]);
            Assert.Equal((3, 10_004L), (transaction.Count, transaction.ByteCount));
            Assert.Equal([1, 2, 3], transaction.Bytes(transaction.Stage(0)[0]).ToArray());
            Assert.Equal([4], transaction.Bytes(transaction.Stage(0)[1]).ToArray());
            Assert.Equal(10_000, transaction.Bytes(transaction.Stage(7)[0]).Length);
            transaction.Clear();
            Assert.True(transaction.IsEmpty);
            Assert.Equal(0, transaction.ByteCount);
        }
    }

    [Fact]
    public void Transaction_with_only_a_revoke_is_not_empty()
    {
        var transaction = new MetadataTransaction();
        transaction.Revoke(new HomeRange(0, 512));
        Assert.False(transaction.IsEmpty);
    }

    [Theory]
    [InlineData(-1L, 1)]
    [InlineData(0L, 0)]
    public void Impossible_after_image_is_refused(long offset, int length) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new MetadataTransaction().Add(0, ContentClass.Map, offset, new byte[length]));

    [Fact]
    public void Diagnostic_is_one_line_with_what_where_expected_found_and_fix()
    {
        var error = new DiagnosticException("SP3004", "the header\nis not valid", "a.qcow2", "1", "2", "restore it");
        Assert.Equal("a.qcow2: the header is not valid (expected 1, found 2); restore it", error.Message);
        Assert.Equal("SP3004", error.Code);
    }

    [Fact]
    public void Storage_error_says_operation_range_and_reason()
    {
        var error = new StorageException(StorageError.NoSpace, "write", "a.raw", 4096, 512, "No space left on device");
        Assert.Equal("write of 512 bytes at 4096 of 'a.raw' failed: No space left on device", error.Message);
        Assert.Equal("flush of 'a.raw' failed: x", new DurabilityLostException("flush", "a.raw", "x").Message);
    }

    [Fact]
    public void Meter_counts_from_many_threads_exactly()
    {
        var meter = new StorageMeter();
        Parallel.For(0, 10_000, _ =>
        {
            meter.CountHostWrite(ContentClass.Map, 8);
            meter.CountHostFlush();
            meter.CountGuestWrite(4096);
        });
        MeterReading reading = meter.Read();
        Assert.Equal(10_000, reading.HostWritesByClass[(int)ContentClass.Map]);
        Assert.Equal(80_000, reading.HostWrittenBytes);
        Assert.Equal((10_000, 10_000, 40_960_000), (reading.HostFlushes, reading.GuestWrites, reading.GuestWrittenBytes));
    }

    [Fact]
    public void Context_gives_defaults_when_nothing_is_configured()
    {
        var context = new StrategyContext(null, new StorageMeter(), NullLogger.Instance);
        Assert.Equal(7, context.Options<SomeOptions>().Value);
        Assert.Equal("SP5002", Assert.Throws<DiagnosticException>(() => context.OpenMedium(new MediumRequest { Location = "x", OpenInner = null! })).Code);
    }

    private sealed class SomeOptions
    {
        public int Value { get; set; } = 7;
    }
}
