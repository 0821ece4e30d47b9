using System.Buffers.Binary;
using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Journaling.Tests.Doubles;

namespace StoragePlugins.Journaling.Tests.Crashes;

/// <summary>
/// Power cuts at any moment of random workloads: of what no sync covers, any subset of sectors or writes is there. What was acknowledged is there after
/// recovery, a transaction is whole or not there, nothing overtakes a barrier, and nobody sees bytes that were never written at that place.
/// </summary>
public sealed class PowerCutTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    public void No_power_cut_loses_tears_or_reorders_what_was_promised(int seed)
    {
        var random = new Random(seed);
        var model = new ModelFormat(random);
        var work = new Work();
        RecordingMedium medium = Run(random, model, 400, work, backgroundFails: seed % 2 == 0);
        Assert.True(work is { CopiedBytes: > 0, Recoveries: > 0 } && (seed % 2 == 0 ? work.FullLogs > 2 : work.Checkpoints > 0 && work.Checkpoints + work.FullLogs > 3), $"the workload exercises what it is for: {work}");
        int states = 0;
        for (int cut = 0; cut <= medium.Events.Count; cut += random.Next(1, 2 * medium.Events.Count / 100))
        {
            for (int variant = 0; variant < 4; variant++, states++)
                Judge(medium.StateAt(cut, variant, random), model, cut, $"seed {seed} cut {cut} of {medium.Events.Count} variant {variant}", random);
        }

        Assert.True(states > 200, $"only {states} states");
    }

    [Fact]
    public void Mutant_without_flushes_is_found() => AssertFound(random => Broken(random, new ModelFormat(random), ignoreSyncs: true));

    [Fact]
    public void Mutant_that_writes_over_live_pages_past_the_journal_is_found() => AssertFound(random => Broken(random, new ModelFormat(random) { WritesPastJournal = true }));

    [Fact]
    public void Mutant_that_maps_data_before_it_is_in_order_is_found() => AssertFound(random => Broken(random, new ModelFormat(random) { PublishesAsZeros = true }));

    [Fact]
    public void Mutant_whose_tail_moves_before_the_checkpoint_is_durable_is_found() =>
        AssertFound(random => Broken(random, new ModelFormat(random), isLost: e => e.Content == ContentClass.Checkpoint));

    [Fact]
    public void Mutant_that_does_not_check_the_checksum_is_found() =>
        AssertFound(random => Broken(random, new ModelFormat(random), forge: state => Forge(state, static (_, _) => { })));

    [Fact]
    public void Mutant_that_does_not_check_the_epoch_is_found() =>
        AssertFound(random => Broken(random, new ModelFormat(random), forge: state => Forge(state, static (state, frame) => state.AsSpan(24, 8).CopyTo(frame[32..]), onlyValid: true)));

    [Fact]
    public void Mutant_that_replays_copies_of_older_records_is_found() =>
        AssertFound(random => Broken(random, new ModelFormat(random), forge: state => Forge(state, static (_, frame) => CopiesBecomeImages(frame), onlyValid: true)));

    private static void AssertFound(Func<Random, int> broken)
    {
        int found = 0;
        for (int seed = 1; seed <= 24 && found < 3; seed++) found += broken(new Random(seed));
        Assert.True(found >= 3, $"only {found} broken states");
    }

    private static int Broken(Random random, ModelFormat model, bool ignoreSyncs = false, Func<RecordingMedium.Event, bool>? isLost = null, Action<byte[]>? forge = null)
    {
        int broken = 0;
        RecordingMedium medium = Run(random, model, 250, new Work(), ignoreSyncs);
        for (int cut = 0; cut <= medium.Events.Count; cut += 1 + random.Next(4))
        {
            byte[] state = medium.StateAt(cut, ignoreSyncs ? 1 : random.Next(3), random, isLost);
            forge?.Invoke(state);
            try
            {
                Judge(state, model, cut, "mutant", random);
            }
            catch (Exception e) when (e is Xunit.Sdk.XunitException or DiagnosticException or StorageException)
            {
                broken++;
            }
        }

        return broken;
    }

    /// <summary>Sessions that end in each way, on one medium.</summary>
    private static RecordingMedium Run(Random random, ModelFormat model, int steps, Work work, bool ignoreSyncs = false, bool backgroundFails = false)
    {
        var medium = new RecordingMedium(new byte[ModelFormat.StartLength]) { IgnoresSyncs = ignoreSyncs };
        // Then every checkpoint is made by a commit that found the log full.
        if (backgroundFails) medium.Before = FailInBackground;
        while (steps > 0)
        {
            using JournalSession session = Open(medium);
            session.Recover();
            session.Start();
            for (int i = random.Next(60, 250); i > 0 && steps > 0; i--, steps--) model.Step(session, medium);
            work.Add(session.Statistics);
            if (random.Next(2) == 0)
            {
                session.Close();
                model.Flushed(medium);
            }
            else
            {
                session.Dispose();
                using JournalSession next = Open(medium);
                work.Recoveries += next.Recover().TransactionsReplayed > 0 ? 1 : 0;
                model.Settle(next.Home, medium);
            }
        }

        return medium;
    }

    private static void FailInBackground(string operation, long offset, int length, ContentClass content)
    {
        if (content == ContentClass.Checkpoint && Thread.CurrentThread.Name is { Length: > 0 } name && name.Contains("checkpoint", StringComparison.Ordinal))
            throw new StorageException(StorageError.NoSpace, operation, "memory", offset, length, "test");
    }

    private static JournalSession Open(RecordingMedium medium)
    {
        var site = new MarkedSite(medium, Image.Place);
        return new JournalSession(site, medium, new RegionSource(site, medium), new JournalSettings(4096, 128 << 10) { MaxCopied = 24 << 10 }, NullLogger.Instance);
    }

    private static void Judge(byte[] state, ModelFormat model, int cut, string where, Random random)
    {
        var shown = new RecordingMedium(state) { IsReadOnly = true };
        using (JournalSession reading = Open(shown))
        {
            reading.Recover();
            model.Judge(reading.Home, cut, where + " read-only");
        }

        var medium = new RecordingMedium(state);
        using (JournalSession session = Open(medium)) session.Recover();
        model.Judge(medium, cut, where);
        if (medium.Events.Count == 0) return;

        // A crash inside the recovery, and a second recovery.
        byte[] again = medium.StateAt(random.Next(medium.Events.Count + 1), random.Next(4), random);
        var second = new RecordingMedium(again) { Records = false };
        using (JournalSession session = Open(second)) session.Recover();
        model.Judge(second, cut, where + " after a crash in recovery");
    }

    /// <summary>Makes every record of this image valid again, whole or not: what a recovery without that check would believe.</summary>
    private static void Forge(byte[] state, FrameAction change, bool onlyValid = false)
    {
        for (int at = Image.Region; at < Image.Region + Image.RegionLength; at += RegionLog.BlockBytes)
        {
            Span<byte> frame = state.AsSpan(at, Image.Region + Image.RegionLength - at);
            if (!frame[..7].SequenceEqual("SPJRNL1"u8)) continue;
            int length = 72 + BinaryPrimitives.ReadInt32LittleEndian(frame[68..]);
            if (length > frame.Length) continue;
            frame = frame[..length];
            if (onlyValid && BinaryPrimitives.ReadUInt32LittleEndian(frame[8..]) != Checksum(frame)) continue;
            change(state, frame);
            BinaryPrimitives.WriteUInt32LittleEndian(frame[8..], Checksum(frame));
        }
    }

    private static uint Checksum(ReadOnlySpan<byte> frame) => Crc32C.Append(Crc32C.Append(Crc32C.Seed, frame[..8]), frame[12..]);

    private static void CopiesBecomeImages(Span<byte> frame)
    {
        for (int at = 72; at < frame.Length;)
        {
            bool hasBytes = frame[at] <= 1;
            if (frame[at] == (byte)EntryKind.Copy) frame[at] = (byte)EntryKind.Image;
            at += RecordBuilder.EntryBytes + (hasBytes ? BinaryPrimitives.ReadInt32LittleEndian(frame[(at + 8)..]) : 0);
        }
    }

    private sealed record Work
    {
        public long Checkpoints { get; private set; }

        public long FullLogs { get; private set; }

        public long CopiedBytes { get; private set; }

        public int Recoveries { get; set; }

        public void Add(JournalStatistics statistics)
        {
            Checkpoints += statistics.Checkpoints;
            FullLogs += statistics.FullLogs;
            CopiedBytes += statistics.CopiedBytes;
        }
    }

    private delegate void FrameAction(byte[] state, Span<byte> frame);
}
