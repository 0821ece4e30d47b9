using StoragePlugins.CrashKit.Contracts.Model;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Subjects;

namespace StoragePlugins.CrashKit.Contracts;

/// <summary>What <see cref="IBlockFormat"/>, <see cref="IDiskImage"/> and <see cref="IVirtualDisk"/> promise, with the kit's ordering and staged journal as partners.</summary>
public static class BlockFormatCases
{
    private const long DiskBytes = 1 << 20;

    /// <summary>The cases for a format.</summary>
    public static IReadOnlyList<ConformanceCase> For(Tested<IBlockFormat> format)
    {
        TestedPipeline Pipeline() => new($"{format.Id} with the kit's partners", format, new Tested<IOrderingPrimitive>("flush", new FlushOrdering()), new Tested<IMetadataJournal>("staged", new StagedJournal()));
        return
        [
            new("a new image is recognized, opens, and reads as zeros", _ => CreateProbeOpen(Pipeline())),
            new("requests outside the disk are refused, empty ones do nothing", _ => Bounds(Pipeline())),
            new("random requests read back, also after a close", settings => ReadsBack(Pipeline(), settings)),
            new("an image opened for reading refuses writes and is not changed", _ => ReadOnlyIsReadOnly(Pipeline())),
            new("extents agree with what reads show", settings => ExtentsAgree(Pipeline(), settings)),
            new("several threads read and write their own ranges", settings => Concurrent(Pipeline(), settings)),
            new("damaged and cut images fail clearly, or read", settings => Damage(Pipeline(), settings)),
            .. PowerCutCases.Of(Pipeline),
        ];
    }

    private static Machine Create(TestedPipeline pipeline) => pipeline.Create(DiskBytes, PersistenceModel.Disk);

    private static void CreateProbeOpen(TestedPipeline pipeline)
    {
        Machine machine = Create(pipeline);
        using (SimulatedMedium medium = machine.OpenImage(isReadOnly: true))
        {
            Expect.That(pipeline.Format.Strategy.Probe(medium) != FormatMatch.No, "the format does not recognize its own new image");
        }

        using OpenedSubject opened = pipeline.Open(machine);
        using IVirtualDisk disk = opened.Image.OpenDisk("");
        Expect.That(disk.Length == DiskBytes, $"the disk has {disk.Length} bytes, not {DiskBytes}");
        Expect.That(disk.PreferredBlockSize > 0, "the preferred block size is not positive");
        byte[] all = new byte[DiskBytes];
        Random.Shared.NextBytes(all);
        disk.Read(0, all);
        Expect.That(!all.AsSpan().ContainsAnyExcept((byte)0), "a new disk does not read as zeros");
        Expect.That(opened.Image.ListDisks(null, 1) is [{ Name: "" }], "the live disk is not the first of ListDisks");
        Expect.Throws<DiagnosticException>(() => opened.Image.OpenDisk("no such disk"), "opening a disk that is not there");
        opened.Image.Close();
    }

    private static void Bounds(TestedPipeline pipeline)
    {
        using OpenedSubject opened = pipeline.Open(Create(pipeline));
        using IVirtualDisk disk = opened.Image.OpenDisk("");
        byte[] two = new byte[2];
        foreach ((long offset, string what) in new[] { (DiskBytes - 1, "across the end"), (DiskBytes, "beyond the end"), (-1L, "before the start"), (long.MaxValue, "far away") })
        {
            Expect.That(Expect.Throws<StorageException>(() => disk.Read(offset, two), $"a read {what}").Error == StorageError.InvalidRange, $"a read {what} is not InvalidRange");
            Expect.That(Expect.Throws<StorageException>(() => disk.Write(offset, two), $"a write {what}").Error == StorageError.InvalidRange, $"a write {what} is not InvalidRange");
        }

        disk.Read(DiskBytes, []);
        disk.Write(0, []);
        disk.Write(DiskBytes - 1, [1]);
        disk.Read(DiskBytes - 1, two.AsSpan(0, 1));
        Expect.That(two[0] == 1, "the last byte does not read back");
        opened.Image.Close();
    }

    private static void ReadsBack(TestedPipeline pipeline, ConformanceSettings settings)
    {
        var random = new Random(settings.Seed);
        Machine machine = Create(pipeline);
        byte[] model = new byte[DiskBytes], read = new byte[DiskBytes];
        for (int session = 0; session < 4; session++)
        {
            using OpenedSubject opened = pipeline.Open(machine);
            using IVirtualDisk disk = opened.Image.OpenDisk("");
            disk.Read(0, read);
            Expect.That(read.AsSpan().SequenceEqual(model), $"after close and opening {session} the disk shows something else (seed {settings.Seed})");
            for (int i = 0; i < 120; i++)
            {
                Change(disk, model, random);
                if (i % 10 != 0) continue;
                disk.Read(0, read);
                int differs = read.AsSpan().CommonPrefixLength(model);
                Expect.That(differs == model.Length, $"byte {differs} does not read back (seed {settings.Seed}, session {session}, request {i})");
            }

            opened.Image.Close();
        }

        if (pipeline.Check(machine) is { } report)
            Expect.That(report is { Corruptions: 0, Leaks: 0 }, $"after a clean close the check finds: {string.Join("; ", report.Findings.Take(3))}");
    }

    private static void Change(IVirtualDisk disk, byte[] model, Random random)
    {
        int offset = random.Next(model.Length), length = random.Next(1, Math.Min(model.Length - offset, 3 * disk.PreferredBlockSize) + 1);
        Span<byte> range = model.AsSpan(offset, length);
        switch (random.Next(8))
        {
            case 0 when disk.GetCapability<IDiscardDisk>() is { } discarding:
                discarding.Discard(offset, length);
                byte[] shown = new byte[length];
                disk.Read(offset, shown);
                for (int i = 0; i < length; i++) Expect.That(shown[i] == 0 || shown[i] == range[i], "what was discarded reads neither as zeros nor as before");
                shown.CopyTo(range);
                break;
            case 1 when disk.GetCapability<IZeroingDisk>() is { } zeroing:
                zeroing.WriteZeroes(offset, length, random.Next(2) == 0);
                range.Clear();
                break;
            case 2:
                disk.Flush();
                break;
            default:
                random.NextBytes(range);
                disk.Write(offset, range, random.Next(10) == 0 ? WriteFlags.ForceUnitAccess : WriteFlags.None);
                break;
        }
    }

    private static void ReadOnlyIsReadOnly(TestedPipeline pipeline)
    {
        Machine machine = Create(pipeline);
        byte[] before = machine.Devices[0].Image.ToArray();
        using (OpenedSubject opened = pipeline.Open(machine, readOnly: true))
        {
            using IVirtualDisk disk = opened.Image.OpenDisk("");
            Expect.That(disk.IsReadOnly, "the disk does not say that it is read-only");
            Expect.That(Expect.Throws<StorageException>(() => disk.Write(0, [1]), "a write").Error == StorageError.ReadOnly, "a write is refused, but not as ReadOnly");
            disk.Flush();
            opened.Image.Close();
        }

        Expect.That(machine.Devices[0].Image.ToArray().AsSpan().SequenceEqual(before), "opening for reading changed the image");
    }

    private static void ExtentsAgree(TestedPipeline pipeline, ConformanceSettings settings)
    {
        using OpenedSubject opened = pipeline.Open(Create(pipeline));
        using IVirtualDisk disk = opened.Image.OpenDisk("");
        if (disk.GetCapability<IExtentDisk>() is not { } extents) throw new DoesNotApplyException("its disks describe no extents");
        var random = new Random(settings.Seed);
        byte[] model = new byte[DiskBytes];
        for (int i = 0; i < 60; i++) Change(disk, model, random);
        var runs = new DiskExtent[16];
        for (long at = 0; at < DiskBytes;)
        {
            int count = extents.DescribeExtents(at, DiskBytes - at, runs);
            Expect.That(count is >= 1 and <= 16, $"{count} runs were described at {at}");
            foreach (DiskExtent run in runs.AsSpan(0, count))
            {
                Expect.That(run.Length > 0 && at + run.Length <= DiskBytes, $"a run at {at} has {run.Length} bytes");
                if ((run.Flags & ExtentFlags.Zero) != 0) Expect.That(!model.AsSpan((int)at, (int)run.Length).ContainsAnyExcept((byte)0), $"a run of {run.Length} bytes at {at} is called zeros and is not");
                at += run.Length;
            }
        }

        opened.Image.Close();
    }

    private static void Concurrent(TestedPipeline pipeline, ConformanceSettings settings)
    {
        const int threads = 4;
        Machine machine = Create(pipeline);
        using OpenedSubject opened = pipeline.Open(machine);
        using IVirtualDisk disk = opened.Image.OpenDisk("");
        byte[][] models = [.. Enumerable.Range(0, threads).Select(_ => new byte[DiskBytes / threads])];
        Parallel.For(0, threads, new ParallelOptions { MaxDegreeOfParallelism = threads }, t =>
        {
            var random = new Random(settings.Seed + t);
            long start = t * (DiskBytes / threads);
            byte[] read = new byte[4096];
            for (int i = 0; i < 150; i++)
            {
                // Sectors are each thread's own; blocks at the borders are shared.
                int offset = random.Next((models[t].Length / 512) - 16) * 512, length = random.Next(1, 16) * 512;
                random.NextBytes(models[t].AsSpan(offset, length));
                disk.Write(start + offset, models[t].AsSpan(offset, length));
                if (i % 20 == 0) disk.Flush();
                int check = random.Next(models[t].Length - read.Length);
                disk.Read(start + check, read);
                Expect.That(read.AsSpan().SequenceEqual(models[t].AsSpan(check, read.Length)), $"thread {t} does not read back what it wrote (seed {settings.Seed})");
            }
        });
        opened.Image.Close();
    }

    private static void Damage(TestedPipeline pipeline, ConformanceSettings settings)
    {
        var random = new Random(settings.Seed);
        Machine machine = Create(pipeline);
        using (OpenedSubject opened = pipeline.Open(machine))
        {
            using IVirtualDisk disk = opened.Image.OpenDisk("");
            byte[] model = new byte[DiskBytes];
            for (int i = 0; i < 40; i++) Change(disk, model, random);
            opened.Image.Close();
        }

        for (int i = 0; i < 300; i++)
        {
            Machine damaged = machine.Copy();
            DeviceImage image = damaged.Devices[0].Image;
            if (i % 4 == 0)
            {
                image.SetLength(random.NextInt64(image.Length));
            }
            else
            {
                // Half of the time where headers and tables mostly lie.
                long at = random.NextInt64(i % 2 == 0 ? Math.Min(image.Length, 16 << 10) : image.Length);
                image.Write(at, [(byte)random.Next(256)]);
            }

            Survive(pipeline, damaged, $"damaged image {i} of seed {settings.Seed}");
        }
    }

    private static void Survive(TestedPipeline pipeline, Machine damaged, string which)
    {
        Exception? unexpected = null;
        var reading = new Thread(() =>
        {
            try
            {
                using OpenedSubject opened = pipeline.Open(damaged, readOnly: true);
                using IVirtualDisk disk = opened.Image.OpenDisk("");
                byte[] piece = new byte[64 << 10];
                for (long at = 0; at < Math.Min(disk.Length, 8 * DiskBytes); at += piece.Length) disk.Read(at, piece.AsSpan(0, (int)Math.Min(piece.Length, disk.Length - at)));
                pipeline.Check(damaged);
            }
            catch (Exception told) when (told is DiagnosticException or StorageException)
            {
                // Clear enough.
            }
            catch (Exception other)
            {
                unexpected = other;
            }
        }) { IsBackground = true };
        reading.Start();
        Expect.That(reading.Join(TimeSpan.FromSeconds(20)), $"{which}: opening, reading and checking do not end");
        if (unexpected is not null) throw new ConformanceException($"{which}: {unexpected.GetType().Name}: {unexpected.Message}", unexpected);
    }
}
