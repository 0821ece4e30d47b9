using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.TraceFiles;
using StoragePlugins.Tests;

namespace StoragePlugins.Recorder.Tests;

public sealed class RecordingMediumTests : IDisposable
{
    private readonly LimitedStream _stream = new();
    private readonly EverythingMedium _inner = new();

    [Fact]
    public void What_is_asked_of_the_medium_is_logged_with_what_it_holds()
    {
        using RecordingMedium medium = Record();
        medium.Write(0, new byte[4096], ContentClass.Header);
        medium.Write(5000, [1, 2, 3], ContentClass.Map);
        medium.FlushData();
        medium.Barrier();
        Assert.True(medium.TryPunchHole(512, 1024));
        Assert.True(medium.TryZeroRange(5000, 10));
        medium.Preallocate(8192, 4096);
        medium.SetLength(100);
        medium.FlushAll();
        Assert.Equal(
            [
                "#0 write Header 4096 bytes at 0x0", "#1 write Map 3 bytes at 0x1388", "#2 flush", "#3 barrier", "#4 zero 1024 bytes at 0x200", "#5 set length to 5010", "#6 zero 10 bytes at 0x1388",
                "#7 set length to 12288", "#8 zero 4096 bytes at 0x2000", "#9 set length to 100", "#10 flush",
            ],
            Logged().Select(entry => entry.ToString()));
    }

    [Fact]
    public void The_log_replayed_is_the_image_after_concurrent_work_of_any_alignment()
    {
        const int Size = 1 << 20, Threads = 4, Requests = 400;
        using (RecordingMedium medium = Record(new LockedMedium(Size), Size))
        {
            // Disjoint bytes of common sectors: widening one write must not bring back what another one replaced.
            Parallel.For(0, Threads, new ParallelOptions { MaxDegreeOfParallelism = Threads }, thread =>
            {
                var random = new Random(thread);
                byte[] data = new byte[3000];
                for (int i = 0; i < Requests; i++)
                {
                    random.NextBytes(data);
                    int stripe = random.Next(Size / 4096);
                    // Each thread has its own 1000 bytes of every 4096.
                    medium.Write((stripe * 4096) + (thread * 1000), data.AsSpan(0, random.Next(1, 1000)), ContentClass.GuestData);
                    if (i % 50 == 0) medium.FlushData();
                }
            });
            byte[] expected = new byte[Size];
            medium.Read(0, expected);
            medium.Dispose();
            Assert.Equal(expected, Replayed(new byte[Size]));
            Assert.Equal(expected, ReplayedByOthers(new byte[Size]));
        }

        Assert.Equal(Threads * Requests, Logged().Count(entry => entry.Kind == TraceKind.Write));
        Assert.Equal(Threads * Requests / 50, Logged().Count(entry => entry.Kind == TraceKind.Flush));
    }

    [Fact]
    public void A_write_that_returns_while_a_flush_is_under_way_stands_behind_it()
    {
        using RecordingMedium medium = Record();
        medium.Write(0, new byte[512], ContentClass.GuestData);
        _inner.Before = operation =>
        {
            _inner.Before = null;
            if (operation == "fdatasync") medium.Write(512, new byte[512], ContentClass.GuestData);
        };
        medium.FlushData();
        Assert.Equal(["write", "flush", "write"], Logged().Select(entry => entry.Kind.ToString().ToLowerInvariant()));
    }

    [Fact]
    public void A_flush_that_fails_is_none_in_the_log()
    {
        using RecordingMedium medium = Record();
        _inner.Before = operation => throw new StorageException(StorageError.Io, operation, "memory", -1, 0, "Input/output error");
        Assert.Throws<StorageException>(medium.FlushData);
        _inner.Before = null;
        medium.FlushData();
        Assert.Equal([true, false], Logged().Select(entry => entry.HasFailed));
        _stream.Position = 0;
        using DmLogWritesReader reader = Reopened();
        Assert.Equal([LogFlags.Mark, LogFlags.Flush], reader.Entries().Select(entry => entry.Flags));
    }

    [Fact]
    public void The_super_counts_what_was_flushed_and_at_the_end_everything()
    {
        RecordingMedium medium = Record();
        medium.Write(0, new byte[512], ContentClass.GuestData);
        Assert.Empty(Logged());
        medium.FlushData();
        medium.Write(512, new byte[512], ContentClass.GuestData);
        Assert.Equal(2, Logged().Count);
        medium.Dispose();
        Assert.Equal(3, Logged().Count);
    }

    [Fact]
    public void A_log_at_its_bound_refuses_the_request_and_the_image_stays_as_it_is()
    {
        using RecordingMedium medium = Record(maxBytes: 20_000);
        medium.Write(0, new byte[4096], ContentClass.GuestData);
        StorageException refused = Assert.Throws<StorageException>(() => medium.Write(0, [.. Enumerable.Repeat((byte)9, 10_000)], ContentClass.GuestData));
        Assert.Equal(StorageError.NoSpace, refused.Error);
        Assert.Contains("the log has reached its bound of 20000 bytes", refused.Message, StringComparison.Ordinal);
        Assert.Single(_inner.Log);
        // The log is whole, so what fits goes on.
        medium.Write(4096, new byte[512], ContentClass.GuestData);
        medium.FlushData();
        Assert.Equal(3, Logged().Count);
        while (true)
        {
            try
            {
                medium.FlushData();
            }
            catch (StorageException e)
            {
                Assert.Equal(StorageError.NoSpace, e.Error);
                break;
            }
        }

        Assert.True(_stream.Length <= 20_000);
    }

    [Theory]
    [InlineData(1)] // the entry's own sector
    [InlineData(513)] // its data
    public void A_log_on_a_full_disk_fails_the_request_and_all_later_ones_and_never_skips_an_entry(int room)
    {
        RecordingMedium medium = Record();
        medium.Write(0, new byte[512], ContentClass.GuestData);
        medium.FlushData();
        _stream.Limit = _stream.Length + room;
        StorageException full = Assert.Throws<StorageException>(() => medium.Write(512, new byte[512], ContentClass.GuestData));
        Assert.Equal(StorageError.NoSpace, full.Error);
        _stream.Limit = long.MaxValue;
        int reached = _inner.Log.Count;
        Assert.All<Action>(
            [() => medium.Write(0, new byte[1], ContentClass.GuestData), medium.FlushData, medium.FlushAll, medium.Barrier, () => medium.SetLength(0), () => medium.TryPunchHole(0, 512), () => medium.TryZeroRange(0, 512), () => medium.Preallocate(0, 512)],
            request => Assert.Contains("the log has a hole", Assert.Throws<StorageException>(request).Message, StringComparison.Ordinal));
        Assert.Equal(reached, _inner.Log.Count);
        Assert.Equal(1, medium.Read(0, new byte[1]));
        medium.Dispose();
        Assert.Equal("dispose", _inner.Log[^1]);
        Assert.Equal(2, Logged().Count);
    }

    [Fact]
    public void A_write_that_failed_half_way_is_logged_as_what_it_left()
    {
        using (RecordingMedium medium = Record())
        {
            medium.Write(0, [.. Enumerable.Repeat((byte)1, 2000)], ContentClass.GuestData);
            _inner.Before = operation =>
            {
                if (!operation.StartsWith("write", StringComparison.Ordinal)) return;
                _inner.Before = null;
                _inner.Write(700, [.. Enumerable.Repeat((byte)2, 50)], ContentClass.GuestData);
                throw new StorageException(StorageError.NoSpace, "write", "memory", 700, 900, "No space left on device");
            };
            Assert.Throws<StorageException>(() => medium.Write(700, [.. Enumerable.Repeat((byte)2, 5000)], ContentClass.GuestData));
            medium.Write(100, [3], ContentClass.GuestData);
        }

        byte[] expected = new byte[_inner.Length];
        _inner.Read(0, expected);
        Assert.Equal(expected, Replayed([]));
        Assert.Equal(expected, ReplayedByOthers([])[..expected.Length]);
    }

    [Fact]
    public void What_a_failed_preallocation_left_ends_a_log_that_has_no_room_for_it()
    {
        using RecordingMedium medium = Record(maxBytes: 20_000);
        medium.Preallocate(0, 100_000);
        Assert.True(_stream.Length < 5000);
        _inner.Before = operation => throw new StorageException(StorageError.NoSpace, "preallocate", "memory", 0, 100_000, "No space left on device");
        Assert.Throws<StorageException>(() => medium.Preallocate(0, 100_000));
        _inner.Before = null;
        Assert.Contains("the log has a hole", Assert.Throws<StorageException>(medium.FlushData).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_would_go_by_the_log_is_not_passed_on()
    {
        using RecordingMedium medium = Record();
        Assert.Null(medium.GetCapability<IFileMedium>());
        Assert.Null(medium.GetCapability<IMappableMedium>());
        Assert.Null(medium.GetCapability<IPersistentMemory>());
        Assert.Same(medium, medium.GetCapability<IFlushableMedium>());
        Assert.Same(medium, medium.GetCapability<IBarrierMedium>());
        Assert.Same(medium, medium.GetCapability<IDeallocatingMedium>());
        Assert.Same(medium, medium.GetCapability<IPreallocatingMedium>());
        Assert.Same(_inner, medium.GetCapability<ISparseMedium>());
        Assert.Same(_inner, medium.GetCapability<IWriteCacheMedium>());
    }

    [Fact]
    public void Nothing_is_offered_that_the_medium_beneath_does_not_have()
    {
        using RecordingMedium medium = Record(new MemoryMedium { CannotFlush = true, CannotDeallocate = true });
        Assert.Null(medium.GetCapability<IFlushableMedium>());
        Assert.Null(medium.GetCapability<IBarrierMedium>());
        Assert.Null(medium.GetCapability<IDeallocatingMedium>());
        Assert.Null(medium.GetCapability<IPreallocatingMedium>());
        Assert.Null(medium.GetCapability<ISparseMedium>());
    }

    [Fact]
    public void Recording_allocates_nothing_per_request()
    {
        using RecordingMedium medium = Record(new NullMedium());
        byte[] data = new byte[700];
        _stream.Capacity = 4 << 20;
        void Work()
        {
            for (int i = 0; i < 200; i++)
            {
                medium.Write(i * 1000, data, ContentClass.Map);
                medium.FlushData();
                medium.TryZeroRange(10, 2000);
            }
        }

        Assert.Equal(0, Allocations.Of(Work));
    }

    public void Dispose()
    {
        _stream.Dispose();
        _inner.Dispose();
    }

    private RecordingMedium Record(IStorageMedium? inner = null, long length = 0, long maxBytes = long.MaxValue) =>
        new(inner ?? _inner, new DmLogWritesWriter(_stream, "log", (inner ?? _inner).Read, length, 512, maxBytes), NullLogger.Instance);

    private DmLogWritesReader Reopened() => new(new MemoryStream(_stream.ToArray()), "log");

    private IReadOnlyList<TraceEvent> Logged()
    {
        using DmLogWritesReader reader = Reopened();
        return TraceImport.Read(reader).Trace.Events;
    }

    // Whole sectors, marks skipped.
    private byte[] ReplayedByOthers(byte[] before)
    {
        var image = new CrashKit.Media.DeviceImage(before);
        using DmLogWritesReader reader = Reopened();
        foreach (LoggedEntry entry in reader.Entries())
        {
            byte[] data = new byte[entry.Length];
            if (entry.HasData) reader.ReadData(entry, data);
            image.Write(entry.Offset, data);
        }

        return image.ToArray();
    }

    private byte[] Replayed(byte[] before)
    {
        var image = new CrashKit.Media.DeviceImage(before);
        foreach (TraceEvent entry in Logged())
        {
            if (entry.Kind == TraceKind.Write) image.Write(entry.Offset, entry.Data.Span);
            else if (entry.Kind == TraceKind.Zero) image.Zero(entry.Offset, entry.Length);
            else if (entry.Kind == TraceKind.SetLength) image.SetLength(entry.Offset);
        }

        return image.ToArray();
    }
}
