using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Tests.Exports;

namespace StoragePlugins.Host.Tests.Comparison;

public sealed class ComparisonRunTests : IDisposable
{
    private const int Operations = 4;

    private static readonly Workload s_append = Workload.All[0];
    private static readonly Workload s_overwrite = Workload.All[1];

    private readonly string _folder = Directory.CreateTempSubdirectory("cmp").FullName;
    private readonly List<string> _notes = [];
    private readonly List<string> _runs = [];
    private readonly CancellationTokenSource _cancel = new();

    [Fact]
    public void Every_contender_runs_every_workload_once_a_round_and_the_order_changes()
    {
        Contender[] contenders = [new Fake("a", _runs), new Fake("b", _runs), new Fake("c", _runs)];
        IReadOnlyList<Measurement> measurements = Run(contenders, rounds: 3, [s_append, s_overwrite]);
        Assert.Equal(["a append64k", "b append64k", "c append64k", "a overwrite64k", "b overwrite64k", "c overwrite64k"], _runs[..6]);
        string[][] rounds = [.. _runs[6..].Chunk(3)];
        Assert.Equal(6, rounds.Length);
        Assert.All(rounds, round => Assert.Equal(3, round.Distinct().Count()));
        Assert.Equal(["append64k", "overwrite64k", "append64k", "overwrite64k", "append64k", "overwrite64k"], rounds.Select(round => round[0].Split(' ')[1]));
        Assert.Equal(3, rounds.Where((_, i) => i % 2 == 0).Select(round => round[0]).Distinct().Count());
        Assert.Equal(["a append64k", "b append64k", "c append64k", "a overwrite64k", "b overwrite64k", "c overwrite64k"],
            measurements.Select(measurement => $"{measurement.Contender.Name} {measurement.Workload.Name}"));
        Assert.All(measurements, measurement => Assert.Equal(3, measurement.Rounds.Count));
    }

    [Fact]
    public void Costs_are_those_of_the_operations_alone_and_apart_with_opening_and_closing()
    {
        Measurement measurement = Assert.Single(Run([new Fake("a", _runs)], rounds: 2, [s_append]));
        // The fake disk flushes twice a guest flush, 10 times at opening and 6 times at closing.
        Assert.Equal(2, measurement.Costs(openToClose: false)!.HostFlushes);
        Assert.Equal(2 + ((10 + 6) / (double)Operations), measurement.Costs(openToClose: true)!.HostFlushes);
    }

    [Fact]
    public void One_that_cannot_count_while_it_is_timed_is_counted_in_the_first_pass()
    {
        var contender = new Fake("a", _runs) { CountsItself = false };
        Measurement measurement = Assert.Single(Run([contender], rounds: 2, [s_append]));
        Assert.Equal(["a append64k counting", "a append64k", "a append64k"], _runs);
        Assert.Equal(2, measurement.Costs(openToClose: false)!.HostFlushes);
    }

    [Fact]
    public void A_contender_that_cannot_run_here_is_left_out_with_one_line_and_the_others_go_on()
    {
        var broken = new Fake("broken", _runs) { Failure = new DiagnosticException("SP0000", "it cannot", "here") };
        Measurement measurement = Assert.Single(Run([broken, new Fake("a", _runs)], rounds: 1, [s_append, s_overwrite]), m => m.Workload == s_append);
        Assert.Equal("a", measurement.Contender.Name);
        Assert.Equal(["left out: broken: SP0000: here: it cannot"], _notes);
    }

    [Fact]
    public void A_workload_that_a_contender_lacks_something_for_is_left_out_for_it_alone()
    {
        IReadOnlyList<Measurement> measurements = Run([new Fake("a", _runs) { LacksFor = s_overwrite }, new Fake("b", _runs)], rounds: 1, [s_append, s_overwrite]);
        Assert.Equal(["a append64k", "b append64k", "b overwrite64k"], measurements.Select(m => $"{m.Contender.Name} {m.Workload.Name}"));
        Assert.Equal(["left out: a, overwrite64k: it is not installed"], _notes);
    }

    [Fact]
    public void A_contender_asked_for_by_name_that_cannot_run_is_an_error()
    {
        var broken = new Fake("broken", _runs) { Failure = new DiagnosticException("SP0000", "it cannot", "here") };
        Assert.Equal("SP0000", Assert.Throws<DiagnosticException>(() => Run([broken, new Fake("a", _runs)], rounds: 1, [s_append], required: "broken")).Code);
    }

    [Fact]
    public void Nothing_that_can_run_is_an_error()
    {
        var broken = new Fake("broken", _runs) { Failure = new StorageException(StorageError.NoSpace, "write", "disk", 0, 1, "No space left on device") };
        Assert.Equal("SP4104", Assert.Throws<DiagnosticException>(() => Run([broken], rounds: 1, [s_append])).Code);
        Assert.Contains("No space left on device", Assert.Single(_notes), StringComparison.Ordinal);
    }

    [Fact]
    public void A_cancelled_comparison_ends_and_leaves_no_folder()
    {
        var contender = new Fake("a", _runs) { OnFlush = count => { if (count == 6) _cancel.Cancel(); } };
        Assert.ThrowsAny<OperationCanceledException>(() => Run([contender], rounds: 5, [s_append]));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder));
        Assert.Equal(2, _runs.Count);
    }

    [Fact]
    public void Images_are_gone_after_the_run_and_each_run_begins_in_an_empty_folder()
    {
        var contender = new Fake("a", _runs);
        Run([contender], rounds: 2, [s_append]);
        Assert.Equal([0, 0, 0], contender.FilesFound);
        Assert.Equal(3, contender.Forgotten);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder));
    }

    public void Dispose()
    {
        Directory.Delete(_folder, recursive: true);
        _cancel.Dispose();
    }

    private IReadOnlyList<Measurement> Run(Contender[] contenders, int rounds, Workload[] workloads, string? required = null)
    {
        var plan = new ComparisonPlan(workloads, rounds, Operations, Workload.TableBytes);
        return new ComparisonRun(plan, _folder, _folder, _notes.Add, _ => { }, _cancel.Token).Run(contenders, contender => contender.Name == required);
    }

    /// <summary>A contender with a real server over a disk in memory, whose flushes are counted twice.</summary>
    private sealed class Fake(string name, List<string> runs) : Contender
    {
        private int _flushes;

        public bool CountsItself { get; init; } = true;

        public Exception? Failure { get; init; }

        public Workload? LacksFor { get; init; }

        public Action<int>? OnFlush { get; init; }

        public List<int> FilesFound { get; } = [];

        public int Forgotten { get; private set; }

        public override string Name => name;

        public override string Description => "a fake";

        public override string CountedBy => "a fake";

        public override bool IsReference => false;

        public override bool CountsWhileTimed => CountsItself;

        private string Running { get; set; } = "";

        public override string? Lacks(Workload workload) => workload == LacksFor ? "it is not installed" : null;

        public override void Prepare(Workload workload, PreparedRun run)
        {
            if (Failure is not null) throw Failure;
            FilesFound.Add(Directory.EnumerateFileSystemEntries(run.Folder).Count());
            File.WriteAllText(run.Image, "image");
            Running = $"{name} {workload.Name}";
        }

        public override IMeasuredDisk Open(PreparedRun run)
        {
            runs.Add(Running);
            return new FakeDisk(CountsItself, () => OnFlush?.Invoke(++_flushes));
        }

        public override IMeasuredDisk OpenCounting(PreparedRun run)
        {
            if (CountsItself) return Open(run);
            runs.Add($"{Running} counting");
            return new FakeDisk(counts: true, () => { });
        }

        public override void Forget(PreparedRun run) => Forgotten++;
    }

    private sealed class FakeDisk : IMeasuredDisk
    {
        private readonly MemoryDisk _disk = new(Workload.BlockBytes * Operations);
        private readonly NbdTestServer _server;
        private readonly bool _counts;
        private bool _isClosed;

        public FakeDisk(bool counts, Action onFlush)
        {
            _disk.FlushFailure = () =>
            {
                onFlush();
                return null;
            };
            _server = new NbdTestServer(_disk);
            _counts = counts;
        }

        public StorageCounts? Counts => _counts ? new StorageCounts(10 + (2 * _disk.Flushes) + (_isClosed ? 6 : 0), 0, 0, 0) : null;

        public NbdClient Connect() => NbdClient.Connect(_server.SocketPath, "fake", Workload.BlockBytes);

        public void Close() => _isClosed = true;

        public void Dispose()
        {
            _server.Dispose();
            _disk.Dispose();
        }
    }
}
