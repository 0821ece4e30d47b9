using System.Text;
using StoragePlugins.Host.Exports.Fuse;
using StoragePlugins.Tests;

namespace StoragePlugins.Host.Tests.Exports.Fuse;

public sealed class MountPartsTests
{
    [Fact]
    public void A_line_of_mountinfo_is_read_with_its_blanks()
    {
        MountedFileSystem mounted = MountTable.Parse(@"60 28 0:51 / /mnt/a\040b\134c rw,nosuid - fuse.sphost /img\0401.qcow2 rw,user_id=0")!;
        Assert.Equal((@"/mnt/a b\c", "/img 1.qcow2", true), (mounted.Path, mounted.Source, mounted.IsOurs));
        Assert.False(MountTable.Parse("60 28 0:51 / /mnt rw shared:1 master:2 - ext4 /dev/sda1 rw")!.IsOurs);
        Assert.Null(MountTable.Parse("nonsense"));
    }

    [Fact]
    public void Options_come_in_lists_and_an_unknown_one_is_named()
    {
        MountOptions options = MountOptions.Parse(["allow_other,ro", "fsname=a=b,noexec,nonempty"]);
        Assert.Equal(new MountOptions { AllowOther = true, ReadOnly = true, SourceName = "a=b", Execute = false, NonEmpty = true }, options);
        Assert.Equal("SP4035", Assert.Throws<DiagnosticException>(() => MountOptions.Parse(["ro,nonsense"])).Code);
        Assert.Equal("fd=7,rootmode=40000,user_id=1,group_id=2,default_permissions,allow_other", options.Data(7, 1, 2));
        Assert.Equal(@"ro,nosuid,nodev,noexec,noatime,default_permissions,allow_other,subtype=sphost,fsname=/a\,b\\c", options.ForFusermount(@"/a,b\c"));
    }

    [Theory]
    [InlineData("plain €", "plain €")]
    [InlineData("a/b%", "a%2Fb%25")]
    [InlineData(".", "%2E")]
    [InlineData("..", "%2E%2E")]
    [InlineData("...", "...")]
    public void A_snapshot_has_a_name_that_a_file_can_have(string disk, string file) => Assert.Equal(file, Encoding.UTF8.GetString(SnapshotDirectory.FileNameOf(disk)));

    [Theory]
    [InlineData("12 (a) b) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 5 0 0", 5)]
    [InlineData("12 (a) R 1", CallerPlacement.Anywhere)]
    [InlineData("", CallerPlacement.Anywhere)]
    public void The_processor_of_a_thread_is_found_behind_any_name(string status, int processor) => Assert.Equal(processor, CallerPlacement.ProcessorOf(Encoding.ASCII.GetBytes(status)));

    [Fact]
    public void A_caller_is_followed_only_while_it_is_alone_and_waits()
    {
        using var placement = new CallerPlacement();
        uint self = (uint)Environment.ProcessId;
        void Ask(uint caller, bool waits, int times)
        {
            for (int i = 0; i < times; i++) placement.Observe(caller, waits);
        }

        Ask(self, true, CallerPlacement.Streak);
        Assert.Equal(CallerPlacement.Anywhere, placement.Processor);
        Ask(self, true, 1);
        Assert.InRange(placement.Processor, 0, Environment.ProcessorCount - 1);
        Ask(self, false, 1);
        Assert.Equal(CallerPlacement.Anywhere, placement.Processor);
        Ask(self, true, CallerPlacement.Streak);
        Assert.NotEqual(CallerPlacement.Anywhere, placement.Processor);
        Ask(self + 1, true, 1);
        Assert.Equal(CallerPlacement.Anywhere, placement.Processor);
    }

    [Fact]
    public void Handles_are_checked_and_bounded_and_the_last_writer_is_told()
    {
        var tree = new MemoryTree();
        var files = new OpenFiles(tree);
        Assert.True(files.TryOpen(5, forWriting: true, out ulong first));
        Assert.True(files.TryOpen(5, forWriting: true, out ulong second));
        Assert.NotNull(files.Find(first, 5));
        Assert.Null(files.Find(first, 6));
        Assert.True(files.Close(first, 5));
        Assert.False(files.Close(first, 5));
        Assert.Empty(tree.ClosedNodes);
        Assert.True(files.Close(second, 5));
        Assert.Equal([5], tree.ClosedNodes);
        for (int i = 0; i < OpenFiles.MaxOpen; i++) Assert.True(files.TryOpen((ulong)i % 7, forWriting: false, out _));
        Assert.False(files.TryOpen(1, forWriting: false, out _));
    }

    [Fact]
    public void The_turn_goes_to_the_thread_that_was_parked_last_and_ends_for_all()
    {
        int started = 0;
        using var turn = new ReadingTurn(() => Interlocked.Increment(ref started) > 0);
        using Reader first = new(), second = new(), third = new();
        Assert.True(turn.Take(first));
        var order = new System.Collections.Concurrent.ConcurrentQueue<string>();
        Thread Park(Reader reader, string name)
        {
            var thread = new Thread(() =>
            {
                while (turn.Take(reader))
                {
                    order.Enqueue(name);
                    if (order.Count < 3) turn.Pass(reader);
                    else return;
                }
            });
            thread.Start();
            TreeMount.Eventually(() => thread.ThreadState == ThreadState.WaitSleepJoin, "it is parked");
            return thread;
        }

        Thread b = Park(second, "second"), c = Park(third, "third");
        turn.Pass(first);
        Assert.False(turn.IsHeldBy(first));
        TreeMount.Eventually(() => order.Count >= 2, "both had it");
        Assert.Equal(["third", "second"], order.Take(2));
        turn.End();
        Assert.False(turn.Take(first));
        Assert.True(b.Join(10_000) && c.Join(10_000));
    }

    [Fact]
    public void A_turn_that_is_stuck_is_passed_on_by_the_watch()
    {
        using var started = new ManualResetEventSlim();
        using var turn = new ReadingTurn(() =>
        {
            started.Set();
            return true;
        });
        using var reader = new Reader();
        Assert.True(turn.Take(reader));
        turn.Begin(reader);
        Assert.True(started.Wait(10_000));
        Assert.False(turn.IsHeldBy(reader));
    }

    [Fact]
    public void A_slow_request_keeps_the_turn_as_long_as_nobody_else_comes_meanwhile()
    {
        using var turn = new ReadingTurn(() => false);
        using Reader first = new(), second = new();
        Assert.True(turn.Take(first));
        void BeSlow(Action meanwhile, bool othersWait = false)
        {
            turn.Begin(first);
            Thread.Sleep(1);
            meanwhile();
            turn.Finish(first, wasFlush: true, () => othersWait);
        }

        for (int i = 0; i < 2; i++) BeSlow(() => { });
        Assert.True(turn.IsSlow(flushes: true));
        for (int i = 0; i < 8; i++) BeSlow(() => { });
        Assert.False(turn.IsSlow(flushes: true));
        BeSlow(() => turn.Begin(second));
        Assert.True(turn.IsSlow(flushes: true));
        for (int i = 0; i < 8; i++) BeSlow(() => { });
        Assert.False(turn.IsSlow(flushes: true));
        BeSlow(() => { }, othersWait: true);
        Assert.True(turn.IsSlow(flushes: true));
        Assert.False(turn.IsSlow(flushes: false));
    }
}
