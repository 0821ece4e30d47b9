using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Journaling.Tests.Doubles;

namespace StoragePlugins.InternalJournal.Tests;

public sealed class InternalJournalTests
{
    private const long Place = 1 << 20;

    private readonly RecordingMedium _medium = new(new byte[64 << 10]);
    private readonly Site _site;

    public InternalJournalTests() => _site = new Site(_medium);

    [Fact]
    public void Region_is_filled_with_written_zeros_before_the_mark_is_set()
    {
        using IJournalSession session = Open();
        session.Start();
        Assert.Equal(1L << 20, _site.Reserved);
        Assert.Equal(Place + (1 << 20), _site.LengthAtMark);
        Assert.Equal(1L << 20, _medium.Events.Where(e => e.Content == ContentClass.Preallocation).Sum(e => (long)e.Data.Length));
    }

    [Fact]
    public void Region_that_held_a_journal_is_used_again_as_it_is()
    {
        using (IJournalSession first = Open()) first.Start();
        int writes = _medium.Writes;
        using IJournalSession second = Open();
        Assert.True(second.Recover().WasClean);
        second.Start();
        Assert.Equal(writes, _medium.Writes);
        Assert.Equal(2UL, _site.Epoch);
    }

    [Fact]
    public void What_a_session_that_died_had_committed_is_replayed()
    {
        using (IJournalSession first = Open())
        {
            first.Start();
            var transaction = new MetadataTransaction();
            transaction.Add(2, ContentClass.Map, 4096, [1, 2, 3, 4]);
            first.Commit(transaction, CommitGoal.Durable);
        }

        byte[] bytes = new byte[4];
        _medium.Read(4096, bytes);
        Assert.Equal([0, 0, 0, 0], bytes);
        using IJournalSession second = Open();
        Assert.Equal(1, second.Recover().TransactionsReplayed);
        _medium.Read(4096, bytes);
        Assert.Equal([1, 2, 3, 4], bytes);
    }

    [Fact]
    public void Site_without_room_is_refused()
    {
        _site.HasRegions = false;
        Assert.Equal("SP3110", Assert.Throws<DiagnosticException>(Open).Code);
    }

    [Fact]
    public void Mark_without_a_region_or_with_an_impossible_one_is_refused()
    {
        _site.Payload = new byte[] { 1, 0, 0, 0 };
        using IJournalSession session = Open();
        Assert.Equal("SP3111", Assert.Throws<DiagnosticException>(session.Recover).Code);
        foreach (JournalRegion region in new[] { new JournalRegion(Place, 0), new JournalRegion(-4096, 1 << 20), new JournalRegion(long.MaxValue - 4096, 1 << 20), new JournalRegion(Place, -5) })
        {
            _site.Region = region;
            Assert.Equal("SP3111", Assert.Throws<DiagnosticException>(session.Recover).Code);
        }

        Assert.Empty(_medium.Events);
    }

    [Theory]
    [InlineData(new byte[] { 2, 0, 0, 0 })]
    [InlineData(new byte[] { })]
    public void Journal_of_an_unknown_version_is_refused(byte[] payload)
    {
        _site.Payload = payload;
        _site.Region = new JournalRegion(Place, 1 << 20);
        using IJournalSession session = Open();
        Assert.Equal("SP3112", Assert.Throws<DiagnosticException>(session.Recover).Code);
    }

    private IJournalSession Open() => new InternalJournal().Open(_site, _medium, new StrategyContext(
        new InternalJournalOptions { RegionSize = 1 << 20 }, new StorageMeter(), NullLogger.Instance));

    private sealed class Site(RecordingMedium medium) : IJournalSite, IJournalRegionSite, IInUseMark
    {
        private readonly Guid _id = Guid.NewGuid();

        public string ImageName => "image";

        public Guid ImageId => Payload is null ? Guid.Empty : _id;

        public ulong Epoch { get; private set; }

        public bool IsReadOnly => false;

        public bool HasRegions { get; set; } = true;

        public long Reserved { get; private set; }

        public long LengthAtMark { get; private set; }

        public JournalRegion? Region { get; set; }

        public ReadOnlyMemory<byte>? Payload { get; set; }

        public bool IsHome(long offset, long length) => true;

        public JournalRegion Reserve(long length)
        {
            Reserved = length;
            return Region ??= new JournalRegion(Place, length);
        }

        public void Set(ReadOnlySpan<byte> payload)
        {
            Payload = payload.ToArray();
            Epoch++;
            LengthAtMark = medium.Length;
        }

        public void Clear() => Payload = null;

        public T? GetCapability<T>() where T : class => typeof(T) == typeof(IJournalRegionSite) && !HasRegions ? null : this as T;
    }
}
