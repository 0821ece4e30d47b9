using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.CrashKit.Contracts.Model;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Subjects;

namespace StoragePlugins.CrashKit.Contracts;

/// <summary>What <see cref="IOrderingPrimitive"/> and <see cref="IOrderedMedium"/> promise.</summary>
public static class OrderingPrimitiveCases
{
    private const int Bytes = 64 << 10;

    /// <summary>The cases for a primitive.</summary>
    public static IReadOnlyList<ConformanceCase> For(Tested<IOrderingPrimitive> ordering) =>
    [
        new("reads see every write that returned", _ => ReadsSeeWrites(ordering)),
        new("the length follows writes and SetLength", _ => LengthFollows(ordering)),
        new("what is zeroed reads as zeros, in the order of writes", _ => ZeroesAreOrdered(ordering)),
        new("a failed flush is final, and the device is not asked again", _ => FailureIsFinal(ordering, static medium => medium.Flush(), new FlushFails())),
        new("a failed barrier is final, or fails the next flush", _ => FailedBarrier(ordering)),
        new("a write that fails is told to somebody", _ => FailedWriteIsTold(ordering)),
        new("reads go on after a failure", _ => ReadsGoOn(ordering)),
        new("nobody flushes or orders behind its back", _ => HidesBypasses(ordering)),
        new("a medium that lacks what it needs is refused", _ => RefusesWhatItCannotOrder(ordering)),
        new("several threads write and flush at once", settings => Concurrent(ordering, settings)),
        new("disposing it disposes the medium, and flushes nothing", _ => Disposes(ordering)),
        .. PowerCutCases.Of(() => new TestedPipeline(
            $"the kit's format over {ordering.Id}", new Tested<IBlockFormat>("model", new ModelFormat()), ordering, new Tested<IMetadataJournal>("staged", new StagedJournal()))),
    ];

    private static IOrderedMedium Attach(Tested<IOrderingPrimitive> ordering, IStorageMedium medium) =>
        ordering.Strategy.Attach(medium, new StrategyContext(ordering.Options, new StorageMeter(), NullLogger.Instance));

    private static (Machine Machine, IOrderedMedium Medium) Attach(Tested<IOrderingPrimitive> ordering, MediumFaults? faults = null)
    {
        var machine = new Machine(new byte[Bytes], DeviceTraits.BarrierDisk);
        return (machine, Attach(ordering, machine.OpenImage(faults: faults)));
    }

    private static void ReadsSeeWrites(Tested<IOrderingPrimitive> ordering)
    {
        (_, IOrderedMedium medium) = Attach(ordering);
        using (medium)
        {
            byte[] model = new byte[Bytes], read = new byte[Bytes];
            var random = new Random(1);
            for (int i = 0; i < 500; i++)
            {
                int offset = random.Next(Bytes - 1), length = random.Next(1, Math.Min(9000, Bytes - offset) + 1);
                random.NextBytes(model.AsSpan(offset, length));
                medium.Write(offset, model.AsSpan(offset, length), ContentClass.GuestData);
                if (random.Next(4) == 0) medium.Barrier();
                if (random.Next(16) == 0) medium.Flush();
                Expect.That(medium.Read(0, read) == Bytes, "a read was short");
                Expect.That(read.AsSpan().SequenceEqual(model), $"after write {i} a read shows something else");
            }
        }
    }

    private static void LengthFollows(Tested<IOrderingPrimitive> ordering)
    {
        (_, IOrderedMedium medium) = Attach(ordering);
        using (medium)
        {
            medium.Write(Bytes, [1], ContentClass.GuestData);
            Expect.That(medium.Length == Bytes + 1, $"after a write of the last byte the length is {medium.Length}, not {Bytes + 1}");
            medium.Barrier();
            medium.SetLength(100);
            Expect.That(medium.Length == 100, $"after SetLength(100) the length is {medium.Length}");
            medium.SetLength(200);
            byte[] read = new byte[300];
            Expect.That(medium.Read(0, read) == 200, "a read beyond the end is not short");
            Expect.That(!read.AsSpan(100).ContainsAnyExcept((byte)0), "what SetLength added does not read as zeros");
        }
    }

    private static void ZeroesAreOrdered(Tested<IOrderingPrimitive> ordering)
    {
        (_, IOrderedMedium medium) = Attach(ordering);
        using (medium)
        {
            if (medium.GetCapability<IDeallocatingMedium>() is not { } deallocating) throw new DoesNotApplyException("it passes no deallocation on");
            byte[] ones = Enumerable.Repeat((byte)1, 8192).ToArray(), read = new byte[8192];
            medium.Write(0, ones, ContentClass.GuestData);
            medium.Barrier();
            Expect.That(deallocating.TryZeroRange(0, 4096), "the medium zeroes, and the primitive says that it does not");
            medium.Write(1024, ones.AsSpan(0, 512), ContentClass.GuestData);
            medium.Read(0, read);
            Expect.That(read[0] == 0 && read[1024] == 1 && read[2000] == 0 && read[4096] == 1, "a write after the zeroes, or the zeroes after a write, are not shown");
        }
    }

    private static void FailureIsFinal(Tested<IOrderingPrimitive> ordering, Action<IOrderedMedium> fails, CountingFaults faults)
    {
        (_, IOrderedMedium medium) = Attach(ordering, faults);
        using (medium)
        {
            medium.Write(0, [1, 2, 3], ContentClass.GuestData);
            Expect.Throws<DurabilityLostException>(() => fails(medium), "the flush that the device fails");
            faults.IsHealed = true;
            int calls = faults.Calls;
            Expect.Throws<DurabilityLostException>(medium.Flush, "a flush after a failed one");
            Expect.Throws<DurabilityLostException>(medium.Barrier, "a barrier after a failed flush");
            Expect.Throws<DurabilityLostException>(() => medium.Write(0, [1], ContentClass.GuestData), "a write after a failed flush");
            Expect.That(faults.Calls == calls, $"the device was asked to flush or order {faults.Calls - calls} more times after its failure: it would say that all is well");
        }
    }

    private static void FailedBarrier(Tested<IOrderingPrimitive> ordering)
    {
        var faults = new FlushFails();
        (_, IOrderedMedium medium) = Attach(ordering, faults);
        using (medium)
        {
            medium.Write(0, [1, 2, 3], ContentClass.GuestData);
            try
            {
                medium.Barrier();
                medium.Write(4096, [1], ContentClass.GuestData);
            }
            catch (DurabilityLostException)
            {
            }

            Expect.Throws<DurabilityLostException>(medium.Flush, "a flush after a barrier whose device fails");
            faults.IsHealed = true;
            Expect.Throws<DurabilityLostException>(medium.Flush, "a second flush");
        }
    }

    private static void FailedWriteIsTold(Tested<IOrderingPrimitive> ordering)
    {
        (_, IOrderedMedium medium) = Attach(ordering, new WriteFails(4096));
        using (medium)
        {
            medium.Write(0, [1], ContentClass.GuestData);
            medium.Barrier();
            try
            {
                medium.Write(4096, [1], ContentClass.GuestData);
            }
            catch (StorageException)
            {
                return;
            }

            Expect.Throws<StorageException>(medium.Flush, "a write was taken, the device failed it, and the flush after it");
        }
    }

    private static void ReadsGoOn(Tested<IOrderingPrimitive> ordering)
    {
        (_, IOrderedMedium medium) = Attach(ordering, new FlushFails());
        using (medium)
        {
            medium.Write(100, [7], ContentClass.GuestData);
            Expect.Throws<DurabilityLostException>(medium.Flush, "the flush that the device fails");
            byte[] read = new byte[1];
            Expect.That(medium.Read(100, read) == 1 && read[0] == 7, "after a failure reads do not show what was written");
        }
    }

    private static void HidesBypasses(Tested<IOrderingPrimitive> ordering)
    {
        (_, IOrderedMedium medium) = Attach(ordering);
        using (medium)
        {
            Expect.That(medium.GetCapability<IFlushableMedium>() is null, "it passes IFlushableMedium on: a flush behind its back misses the poison");
            Expect.That(medium.GetCapability<IBarrierMedium>() is null, "it passes IBarrierMedium on");
        }
    }

    private static void RefusesWhatItCannotOrder(Tested<IOrderingPrimitive> ordering)
    {
        using var medium = new BareMedium();
        try
        {
            using IOrderedMedium attached = Attach(ordering, medium);
            attached.Write(0, [1], ContentClass.GuestData);
            attached.Flush();
        }
        catch (DiagnosticException)
        {
            return;
        }
        catch (StorageException)
        {
            return;
        }

        throw new ConformanceException("a medium that can neither flush nor order was taken, and a flush of it was acknowledged");
    }

    private static void Concurrent(Tested<IOrderingPrimitive> ordering, ConformanceSettings settings)
    {
        const int threads = 4, each = 200, share = Bytes / threads;
        (_, IOrderedMedium medium) = Attach(ordering);
        using (medium)
        {
            byte[] model = new byte[Bytes];
            Parallel.For(0, threads, new ParallelOptions { MaxDegreeOfParallelism = threads }, t =>
            {
                var random = new Random(settings.Seed + t);
                for (int i = 0; i < each; i++)
                {
                    int offset = (t * share) + random.Next(share - 512);
                    Span<byte> data = model.AsSpan(offset, 512);
                    random.NextBytes(data);
                    medium.Write(offset, data, ContentClass.GuestData);
                    if (i % 7 == 0) medium.Flush();
                    else if (i % 3 == 0) medium.Barrier();
                }
            });
            medium.Flush();
            byte[] read = new byte[Bytes];
            medium.Read(0, read);
            Expect.That(read.AsSpan().SequenceEqual(model), "writes of several threads got lost or mixed up");
        }
    }

    private static void Disposes(Tested<IOrderingPrimitive> ordering)
    {
        var faults = new FlushFails { IsHealed = true };
        var machine = new Machine(new byte[Bytes], DeviceTraits.BarrierDisk);
        var inner = new DisposalWatch(machine.OpenImage(faults: faults));
        Attach(ordering, inner).Dispose();
        Expect.That(inner.IsDisposed, "the medium was not disposed");
    }

    internal abstract class CountingFaults : MediumFaults
    {
        private int _calls;

        public bool IsHealed { get; set; }

        public int Calls => Volatile.Read(ref _calls);

        public override void BeforeFlush(int device) => Count();

        public override void BeforeBarrier(int device) => Count();

        private void Count()
        {
            Interlocked.Increment(ref _calls);
            if (!IsHealed) throw new StorageException(StorageError.Io, "fdatasync", "simulated device", -1, 0, "injected by the kit");
        }
    }

    internal sealed class FlushFails : CountingFaults;

    private sealed class WriteFails(long offset) : MediumFaults
    {
        public override void BeforeWrite(int device, long at, int length, ContentClass content)
        {
            if (at == offset) throw new StorageException(StorageError.Io, "write", "simulated device", at, length, "injected by the kit");
        }
    }

    private sealed class BareMedium : IStorageMedium
    {
        private readonly byte[] _bytes = new byte[Bytes];

        public string Name => "a medium without capabilities";

        public long Length => _bytes.Length;

        public bool IsReadOnly => false;

        public int Read(long offset, Span<byte> buffer)
        {
            int there = (int)Math.Clamp(_bytes.Length - offset, 0, buffer.Length);
            _bytes.AsSpan((int)Math.Min(offset, _bytes.Length), there).CopyTo(buffer);
            return there;
        }

        public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content) => data.CopyTo(_bytes.AsSpan((int)offset));

        public void SetLength(long length) => throw new StorageException(StorageError.NoSpace, "set the length", Name, length, 0, "it cannot");

        public T? GetCapability<T>() where T : class => null;

        public void Dispose()
        {
        }
    }

    private sealed class DisposalWatch(IStorageMedium inner) : IStorageMedium
    {
        public bool IsDisposed { get; private set; }

        public string Name => inner.Name;

        public long Length => inner.Length;

        public bool IsReadOnly => inner.IsReadOnly;

        public int Read(long offset, Span<byte> buffer) => inner.Read(offset, buffer);

        public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content) => inner.Write(offset, data, content);

        public void SetLength(long length) => inner.SetLength(length);

        public T? GetCapability<T>() where T : class => inner.GetCapability<T>();

        public void Dispose()
        {
            IsDisposed = true;
            inner.Dispose();
        }
    }
}
