using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Media;
using StoragePlugins.Media.Mapping;
using StoragePlugins.PmJournal.Session;
using Xunit.Abstractions;

namespace StoragePlugins.PmJournal.Tests.Session;

/// <summary>Whole commits over real media: the record, and the images written home. Speed is written to the log, and not judged here.</summary>
public sealed class SessionSpeedTests(ITestOutputHelper output)
{
    private const int Commits = 50_000;

    [Theory]
    [InlineData("disk", 10)]
    [InlineData("disk", 4096)]
    [InlineData("pm", 10)]
    [InlineData("pm", 4096)]
    public void Commit_of_metadata_or_a_short_write_takes_no_flush(string medium, int bytes)
    {
        string folder = Path.Combine(medium == "disk" ? Path.GetTempPath() : "/dev/shm", "sp-speed-" + Guid.NewGuid().ToString("N"));
        string journal = $"/dev/shm/sp-speed-{Guid.NewGuid():N}.pmj";
        Directory.CreateDirectory(folder);
        try
        {
            string image = Path.Combine(folder, "image");
            File.WriteAllBytes(image, new byte[16 << 20]);
            var meter = new StorageMeter();
            using IStorageMedium inner = medium == "disk" ? OpenFile(image, meter) : OpenPm(image, meter);
            using var home = new Fdatasync(inner);
            var context = new StrategyContext(new PmJournalOptions { Path = journal, Emulated = true }, meter, NullLogger.Instance, request => new FileMediumFactory().Open(request, Plain(meter)));
            using var session = new PmSession(new MarkedSite(image), home, context);
            session.Recover();
            session.Start();
            session.Home.Flush();
            long flushes = meter.Read().HostFlushes;
            double seconds = Run(session, bytes);
            flushes = meter.Read().HostFlushes - flushes;
            output.WriteLine($"{medium}, {bytes} B: {Commits / seconds:N0} commits/s, {seconds / Commits * 1e6:N2} µs each, {flushes} host flushes");
            Assert.InRange(flushes, 0, medium == "pm" ? 0 : Commits * (bytes + 128L) / (8 << 20));
            session.Close();
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
            File.Delete(journal);
        }
    }

    private static double Run(PmSession session, int bytes)
    {
        byte[] data = new byte[bytes];
        var transaction = new MetadataTransaction();
        var clock = Stopwatch.StartNew();
        for (int i = 0; i < Commits; i++)
        {
            if (bytes >= 512)
            {
                session.Home.Write(i % 2048 * 4096, data, ContentClass.GuestData);
                session.Home.Flush();
                continue;
            }

            transaction.Clear();
            transaction.Add(0, ContentClass.Allocation, 9_000_000 + (i % 4096 * 2), data.AsSpan(0, 2));
            transaction.Add(1, ContentClass.Map, 10_000_000 + (i % 4096 * 8), data.AsSpan(2, 8));
            session.Commit(transaction, CommitGoal.Durable);
        }

        return clock.Elapsed.TotalSeconds;
    }

    private static StrategyContext Plain(StorageMeter meter) => new(null, meter, NullLogger.Instance);

    private static IStorageMedium OpenFile(string path, StorageMeter meter) =>
        new FileMediumFactory().Open(new MediumRequest { Location = path, OpenInner = () => throw new NotSupportedException() }, Plain(meter));

    private static IStorageMedium OpenPm(string path, StorageMeter meter) => new PmMediumFactory().Open(
        new MediumRequest { Location = path, OpenInner = () => OpenFile(path, meter) }, new StrategyContext(new PmMediumOptions { Emulated = true }, meter, NullLogger.Instance));

    /// <summary>What the ordering primitive does, without its plugin.</summary>
    private sealed class Fdatasync(IStorageMedium medium) : IOrderedMedium
    {
        public string Name => medium.Name;

        public long Length => medium.Length;

        public bool IsReadOnly => medium.IsReadOnly;

        public int Read(long offset, Span<byte> buffer) => medium.Read(offset, buffer);

        public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content) => medium.Write(offset, data, content);

        public void SetLength(long length) => medium.SetLength(length);

        public void Barrier() => Flush();

        public void Flush() => medium.GetCapability<IFlushableMedium>()!.FlushData();

        public T? GetCapability<T>() where T : class => medium.GetCapability<T>();

        public void Dispose()
        {
        }
    }
}
