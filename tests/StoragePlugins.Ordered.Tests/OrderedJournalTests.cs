using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Tests;

namespace StoragePlugins.Ordered.Tests;

public sealed class OrderedJournalTests
{
    private readonly LoggedOrder _home = new();
    private readonly IJournalSession _session;
    private readonly MetadataTransaction _transaction = new();

    public OrderedJournalTests() =>
        _session = new OrderedJournal().Open(new Site(), _home, new StrategyContext(null, new StorageMeter(), NullLogger.Instance));

    [Fact]
    public void Barrier_stands_between_stages_and_the_flush_comes_last()
    {
        Add(0, 100);
        Add(2, 200);
        Add(3, 300);
        _session.Commit(_transaction, CommitGoal.Durable);
        Assert.Equal(["write 100+8 Map", "barrier", "write 200+8 Map", "barrier", "write 300+8 Map", "flush"], _home.Log);
    }

    [Fact]
    public void Images_of_one_stage_need_no_order()
    {
        Add(1, 100);
        Add(1, 200);
        _session.Commit(_transaction, CommitGoal.Durable);
        Assert.Equal(["write 100+8 Map", "write 200+8 Map", "flush"], _home.Log);
    }

    [Fact]
    public void Published_data_persists_before_the_map_that_shows_it_even_without_stage_0()
    {
        _transaction.Publish(new PublishedExtent(4096, 4096, PriorContent.Unknown));
        Add(2, 200);
        _session.Commit(_transaction, CommitGoal.Durable);
        Assert.Equal(["barrier", "write 200+8 Map", "flush"], _home.Log);
    }

    [Fact]
    public void Empty_commit_is_the_goal_alone()
    {
        _session.Commit(_transaction, CommitGoal.Durable);
        _session.Commit(_transaction, CommitGoal.Ordered);
        Assert.Equal(["flush", "barrier"], _home.Log);
    }

    [Fact]
    public void Later_stage_is_not_written_when_the_barrier_before_it_failed()
    {
        Add(0, 100);
        Add(2, 200);
        _home.FailBarrier = true;
        Assert.Throws<DurabilityLostException>(() => _session.Commit(_transaction, CommitGoal.Durable));
        Assert.Equal(["write 100+8 Map"], _home.Log);
    }

    [Fact]
    public void Committed_images_are_read_at_home()
    {
        _transaction.Add(0, ContentClass.Map, 16, [1, 2, 3, 4]);
        _session.Commit(_transaction, CommitGoal.Ordered);
        byte[] read = new byte[4];
        _home.Read(16, read);
        Assert.Equal([1, 2, 3, 4], read);
        Assert.False(_session.IsAtomic);
    }

    private void Add(int stage, long offset) => _transaction.Add(stage, ContentClass.Map, offset, new byte[8]);

    private sealed class LoggedOrder : MemoryMedium, IOrderedMedium
    {
        public bool FailBarrier { get; set; }

        public void Barrier()
        {
            if (FailBarrier) throw new DurabilityLostException("barrier", Name, "test");
            Log.Add("barrier");
        }

        public void Flush() => Log.Add("flush");
    }

    private sealed class Site : IJournalSite
    {
        public string ImageName => "image";

        public Guid ImageId => Guid.Empty;

        public ulong Epoch => 0;

        public bool IsReadOnly => false;

        public bool IsHome(long offset, long length) => true;

        public T? GetCapability<T>() where T : class => null;
    }
}
