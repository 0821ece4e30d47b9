using StoragePlugins.CrashKit.Contracts.Model;
using StoragePlugins.CrashKit.Faults;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Contracts;

/// <summary>What <see cref="IMetadataJournal"/> and <see cref="IJournalSession"/> promise, shown with the kit's format and ordering as partners.</summary>
public static class MetadataJournalCases
{
    private const int DiskBytes = 256 << 10;
    private const int Block = ModelFormat.BlockBytes;

    /// <summary>The cases for a journal.</summary>
    public static IReadOnlyList<ConformanceCase> For(Tested<IMetadataJournal> journal)
    {
        TestedPipeline Pipeline() => new(
            $"the kit's format with {journal.Id}", new Tested<IBlockFormat>("model", new ModelFormat()), new Tested<IOrderingPrimitive>("flush", new FlushOrdering()), journal);
        return
        [
            new("opening an image for reading writes nothing", _ => ReadOnlyWritesNothing(Pipeline())),
            new("reads show a commit at once, and after a clean close the image is plain", _ => CloseLeavesItPlain(Pipeline())),
            new("what was flushed survives a killed process; recovery twice is recovery once", settings => SurvivesKill(Pipeline(), settings)),
            new("many commits wrap its log and lose nothing", settings => Wraps(Pipeline(), settings)),
            new("a transaction as large as it promises goes through", _ => LargestTransaction(Pipeline())),
            new("a failed flush is told, and final", settings => FailedFlushIsFinal(Pipeline(), settings)),
            new("an image of another journal is not touched", _ => OtherJournalIsRefused(Pipeline(), journal)),
            new("damaged records never become data", settings => DamageIsNoData(Pipeline(), settings)),
            .. PowerCutCases.Of(Pipeline),
        ];
    }

    private static PersistenceModel ModelOf(TestedPipeline pipeline) => Runs.CrashTest.ModelsFor(pipeline)[0];

    private static Machine Written(TestedPipeline pipeline, byte[] content, bool close)
    {
        Machine machine = pipeline.Create(DiskBytes, ModelOf(pipeline));
        using OpenedSubject opened = pipeline.Open(machine);
        IVirtualDisk disk = opened.Image.OpenDisk("");
        for (int at = 0; at < content.Length; at += Block)
        {
            disk.Write(at, content.AsSpan(at, Math.Min(Block, content.Length - at)));
            if (at / Block % 3 == 0) disk.Flush();
        }

        disk.Flush();
        if (close) opened.Image.Close();
        return machine;
    }

    private static byte[] Random(int bytes, int seed)
    {
        byte[] content = new byte[bytes];
        new Random(seed).NextBytes(content);
        return content;
    }

    private static byte[] ReadAll(TestedPipeline pipeline, Machine machine, bool readOnly)
    {
        using OpenedSubject opened = pipeline.Open(machine, readOnly);
        byte[] all = new byte[DiskBytes];
        opened.Image.OpenDisk("").Read(0, all);
        if (!readOnly) opened.Image.Close();
        return all;
    }

    private static void Same(ReadOnlySpan<byte> shown, ReadOnlySpan<byte> written, string when)
    {
        int prefix = shown[..written.Length].CommonPrefixLength(written);
        Expect.That(prefix == written.Length, $"{when} byte {prefix} differs from what was written");
    }

    private static void ReadOnlyWritesNothing(TestedPipeline pipeline)
    {
        byte[] content = Random(DiskBytes / 2, 1);
        Machine machine = Written(pipeline, content, close: false);
        byte[][] before = [.. machine.Devices.Select(device => device.Image.ToArray())];
        Same(ReadAll(pipeline, machine, readOnly: true), content, "read before any recovery,");
        for (int d = 0; d < before.Length; d++)
            Expect.That(machine.Devices[d].Image.ToArray().AsSpan().SequenceEqual(before[d]), $"opening for reading changed the device '{machine.Devices[d].Name}'");
    }

    private static void CloseLeavesItPlain(TestedPipeline pipeline)
    {
        byte[] content = Random(DiskBytes / 2, 2);
        Machine machine = Written(pipeline, content, close: true);
        TestedPipeline plain = pipeline with { Journal = new Tested<IMetadataJournal>("staged", new StagedJournal()) };
        CheckReport check = plain.Check(machine)!;
        Expect.That(check.Corruptions == 0, $"after a clean close the check finds: {string.Join("; ", check.Findings)}");
        Same(ReadAll(plain, machine, readOnly: true), content, "read without the journal after its clean close,");
    }

    private static void SurvivesKill(TestedPipeline pipeline, ConformanceSettings settings)
    {
        byte[] content = Random(DiskBytes / 2, settings.Seed);
        Machine machine = Written(pipeline, content, close: false);
        using (OpenedSubject once = pipeline.Open(machine))
        {
            // Recovered, and killed again before anything was done.
        }

        byte[] twice = ReadAll(pipeline, machine, readOnly: false);
        Same(twice, content, "after two recoveries");
        Same(ReadAll(pipeline, machine, readOnly: true), twice, "after recovery and close");
    }

    private static void Wraps(TestedPipeline pipeline, ConformanceSettings settings)
    {
        Machine machine = pipeline.Create(DiskBytes, ModelOf(pipeline));
        byte[] content = new byte[DiskBytes];
        var random = new Random(settings.Seed);
        // Small writes with a flush each: some 8 MiB of records of 4 KiB, or as long as the budget lasts.
        long end = Environment.TickCount64 + (long)settings.Budget.TotalMilliseconds;
        using (OpenedSubject opened = pipeline.Open(machine))
        {
            IVirtualDisk disk = opened.Image.OpenDisk("");
            for (int i = 0; i < 2000 && Environment.TickCount64 < end; i++)
            {
                int offset = random.Next((DiskBytes / 512) - 4) * 512, length = random.Next(1, 5) * 512;
                random.NextBytes(content.AsSpan(offset, length));
                disk.Write(offset, content.AsSpan(offset, length));
                if (i % 5 == 0) disk.GetCapability<IDiscardDisk>()!.Discard(offset / Block * Block, Block);
                if (i % 5 == 0) content.AsSpan(offset / Block * Block, Block).Clear();
                disk.Flush();
            }
        }

        Same(ReadAll(pipeline, machine, readOnly: false), content, "after many commits and a kill");
    }

    private static void LargestTransaction(TestedPipeline pipeline)
    {
        // Every entry of the map changes in one transaction, or in as many as the journal asks for.
        const long size = 16 << 20;
        Machine machine = pipeline.Create(size, ModelOf(pipeline));
        byte[] block = Random(Block, 3);
        using (OpenedSubject opened = pipeline.Open(machine))
        {
            IVirtualDisk disk = opened.Image.OpenDisk("");
            for (long at = 0; at < size; at += Block) disk.Write(at, block);
            disk.Flush();
        }

        using OpenedSubject again = pipeline.Open(machine);
        byte[] read = new byte[Block];
        for (long at = 0; at < size; at += Block)
        {
            again.Image.OpenDisk("").Read(at, read);
            Expect.That(read.AsSpan().SequenceEqual(block), $"block {at / Block} of a large transaction was lost in a kill after its flush");
        }

        again.Image.Close();
    }

    private static void FailedFlushIsFinal(TestedPipeline pipeline, ConformanceSettings settings)
    {
        GuestOperation[] work =
        [
            new(GuestAction.Write, 0, 3 * Block), new(GuestAction.Flush), new(GuestAction.Write, Block, 512), new(GuestAction.Flush), new(GuestAction.Write, 8 * Block, Block),
            new(GuestAction.Discard, 0, Block), new(GuestAction.Flush), new(GuestAction.Reopen),
        ];
        for (int failing = 0; failing < 16; failing++)
        {
            var workload = new Workload(DiskBytes, [.. work.Select(operation => new[] { operation })]) { Fault = new DeviceFault(FaultKind.FlushFails, failing) };
            WorkloadRun run = WorkloadRun.Execute(pipeline, workload, ModelOf(pipeline));
            Expect.That(run.Problem is null, $"with the device's flush {failing} failing (seed {settings.Seed}): {run.Problem?.Message}");
        }
    }

    private static void OtherJournalIsRefused(TestedPipeline pipeline, Tested<IMetadataJournal> journal)
    {
        Machine machine = Written(pipeline, Random(Block * 4, 4), close: false);
        using (SimulatedMedium medium = machine.OpenImage(isReadOnly: true))
            if (new ModelFormat().InspectJournal(medium).InUse is null) throw new DoesNotApplyException("it sets no mark");
        byte[][] before = [.. machine.Devices.Select(device => device.Image.ToArray())];
        Expect.Throws<DiagnosticException>(() => (pipeline with { Journal = journal with { Id = "another" } }).Open(machine).Dispose(), "opening the image with a journal of another name");
        Expect.That(machine.Devices[0].Image.ToArray().AsSpan().SequenceEqual(before[0]), "it was changed");
    }

    private static void DamageIsNoData(TestedPipeline pipeline, ConformanceSettings settings)
    {
        PersistenceModel model = ModelOf(pipeline);
        var random = new Random(settings.Seed);
        var workload = new Workload(DiskBytes, [.. Enumerable.Range(0, 24).Select(i => new[] { i % 3 == 2 ? new GuestOperation(GuestAction.Flush) : new GuestOperation(GuestAction.Write, random.Next(48) * Block, 512 * random.Next(1, 12)) })]);
        Machine machine = pipeline.Create(DiskBytes, model);
        var trace = new Trace();
        var history = new GuestHistory(new byte[DiskBytes], 0);
        using (OpenedSubject opened = pipeline.Open(machine, trace: trace))
        {
            IVirtualDisk disk = opened.Image.OpenDisk("");
            int number = 0;
            foreach (GuestOperation operation in workload.Steps.Select(step => step[0]))
            {
                var record = new OperationRecord(++number, operation, new Interval(trace.Tick()));
                if (operation.Action == GuestAction.Flush) disk.Flush();
                else
                {
                    byte[] data = new byte[operation.Length];
                    Stamp.Fill(data, operation.Offset, number);
                    history.Begin(record, operation.Offset, data, isForced: false);
                    disk.Write(operation.Offset, data);
                }

                record.Span.End = trace.Tick();
            }
        }

        TraceEvent[] records = [.. trace.Events.Where(entry => entry.Content == ContentClass.JournalRecord || entry.Kind is TraceKind.Store or TraceKind.StoreNonTemporal)];
        if (records.Length == 0) throw new DoesNotApplyException("it writes no records");
        for (int i = 0; i < 200; i++)
        {
            Machine damaged = machine.Copy();
            TraceEvent victim = records[random.Next(records.Length)];
            long at = victim.Offset + random.NextInt64(victim.Length);
            byte[] one = new byte[1];
            DeviceImage image = damaged.Devices[victim.Device].Image;
            image.Read(at, one);
            one[0] ^= (byte)(1 << random.Next(8));
            image.Write(at, one);
            try
            {
                byte[] shown = ReadAll(pipeline, damaged, readOnly: false);
                // Nothing was flushed as far as this history knows: any value that a sector ever had will do, and nothing else.
                history.Judge(shown, trace.Now);
            }
            catch (Exception told) when (told is DiagnosticException or StorageException)
            {
                // Refusing is right.
            }
            catch (Checking.InvariantBrokenException broken)
            {
                throw new ConformanceException($"a flipped bit at byte {at} of '{damaged.Devices[victim.Device].Name}' became data (seed {settings.Seed}): {broken.Message}", broken);
            }
        }
    }
}
