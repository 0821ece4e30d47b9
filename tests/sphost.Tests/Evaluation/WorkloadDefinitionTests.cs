using System.Buffers.Binary;
using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation;
using StoragePlugins.Host.Evaluation.Places;
using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Host.Evaluation.Workloads;

namespace StoragePlugins.Host.Tests.Evaluation;

/// <summary>Workloads against their definitions: what they write, how often they sync, how they choose.</summary>
public sealed class WorkloadDefinitionTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("sp-eval-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void Gamma_has_its_mean_and_its_skew()
    {
        var sizes = new GammaDistribution(16384, 1.5, new Random(1));
        double[] drawn = [.. Enumerable.Range(0, 100_000).Select(_ => sizes.Next())];
        double mean = drawn.Average(), variance = drawn.Average(each => (each - mean) * (each - mean));
        Assert.InRange(mean, 16384 * 0.98, 16384 * 1.02);
        // The variance of a gamma distribution is mean² / shape.
        Assert.InRange(variance, 16384.0 * 16384 / 1.5 * 0.95, 16384.0 * 16384 / 1.5 * 1.05);
        Assert.All(drawn, each => Assert.True(each > 0));
    }

    [Fact]
    public void Zipfian_ranks_are_as_frequent_as_theta_says_and_keys_are_spread()
    {
        const int Draws = 200_000;
        var keys = new ZipfianKeys(1000, new Random(1));
        int[] ranks = new int[3];
        for (int i = 0; i < Draws; i++)
        {
            long rank = keys.NextRank();
            if (rank < ranks.Length) ranks[rank]++;
        }

        const double Zeta = 26.46902820178302;
        Assert.InRange(ranks[0], Draws / Zeta * 0.95, Draws / Zeta * 1.05);
        Assert.InRange(ranks[1], Draws / Zeta * Math.Pow(0.5, 0.99) * 0.95, Draws / Zeta * Math.Pow(0.5, 0.99) * 1.05);
        long[] chosen = [.. Enumerable.Range(0, Draws).Select(_ => keys.Next())];
        Assert.All(chosen, key => Assert.InRange(key, 0, 999));
        // Scrambled: the most popular key is not the first one, and nobody is left out.
        Assert.NotEqual(0, chosen.GroupBy(key => key).MaxBy(group => group.Count())!.Key);
        Assert.Equal(1000, chosen.Distinct().Count());
    }

    [Fact]
    public void Keys_are_hashed_and_all_different()
    {
        string[] keys = [.. Enumerable.Range(0, 10_000).Select(record => YcsbWorkload.Key(record))];
        Assert.Equal(keys.Length, keys.Distinct().Count());
        // Utils.hash(0) of YCSB: FNV of eight zero bytes, the magnitude.
        Assert.Equal("user6284781860667377211", keys[0]);
        Assert.NotEqual(keys.Order(StringComparer.Ordinal), keys);
    }

    [Fact]
    public void IOzones_matrix_has_126_cells_and_no_small_records_in_files_over_16_MiB()
    {
        IozoneCell[] cells = [.. IozoneCell.Matrix()];
        Assert.Equal(126, cells.Length);
        Assert.All(cells, cell => Assert.True(cell.RecordBytes <= cell.FileBytes && (cell.FileBytes <= 16 << 20 || cell.RecordBytes >= 64 << 10)));
        Assert.All(IozoneCell.Few().Concat(IozoneCell.Some()), cell => Assert.Contains(cell, cells));
    }

    [Fact]
    public void Varmail_keeps_its_files_and_appends_to_two_each_time_around()
    {
        MailFiles files = VarmailWorkload.Prepare(_folder.FullName, 100, seed: 1, default);
        Assert.Equal(80, files.Existing);
        Assert.Equal(80, _folder.GetFiles().Length);
        var random = new Random(1);
        for (int i = 0; i < 50; i++) VarmailWorkload.Loop(files, random, new byte[64 << 10]);
        // One is deleted and one made each time.
        Assert.Equal(80, files.Existing);
        Assert.Equal(80, _folder.GetFiles().Length);
        Assert.All(_folder.GetFiles(), file => Assert.True(file.Length > 0));
    }

    [Fact]
    public void A_mail_file_that_is_open_is_nobody_elses()
    {
        var files = new MailFiles(_folder.FullName, 1);
        files.Give(7, exists: true);
        Assert.Equal(7, files.Take(exists: true));
        Assert.Null(files.Take(exists: true));
        Assert.Null(files.Take(exists: false));
    }

    [Fact]
    public void Fillsyncs_log_is_LevelDBs_records_that_never_cross_a_block()
    {
        string path = Path.Combine(_folder.FullName, "log");
        long end = 0;
        using (var log = new SyncedFile(path, FileMode.CreateNew))
        {
            byte[] record = new byte[FillSyncWorkload.RecordHeaderBytes + FillSyncWorkload.BatchBytes];
            for (int i = 0; i < 600; i++) end = FillSyncWorkload.Append(log, record, end);
        }

        byte[] bytes = File.ReadAllBytes(path);
        Assert.Equal(end, bytes.Length);
        int batches = 0, open = 0;
        for (int at = 0; at < bytes.Length;)
        {
            int left = FillSyncWorkload.BlockBytes - (at % FillSyncWorkload.BlockBytes);
            if (left < FillSyncWorkload.RecordHeaderBytes)
            {
                at += left;
                continue;
            }

            int length = BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at + 4));
            Assert.True(FillSyncWorkload.RecordHeaderBytes + length <= left, "the record stays in its block");
            open += length;
            // Full, or the last part.
            if (bytes[at + 6] is 1 or 4)
            {
                Assert.Equal(FillSyncWorkload.BatchBytes, open);
                (open, batches) = (0, batches + 1);
            }

            at += FillSyncWorkload.RecordHeaderBytes + length;
        }

        Assert.Equal(600, batches);
    }

    [Fact]
    public void SQLite_keeps_what_was_inserted_and_updated()
    {
        if (SqliteDatabase.Engine.Lacks() is not null) return;
        byte[][] fields = [.. Enumerable.Range(0, YcsbWorkload.Fields).Select(field => Enumerable.Repeat((byte)field, YcsbWorkload.FieldBytes).ToArray())];
        string path = Path.Combine(_folder.FullName, "a.db");
        using (SqliteDatabase database = SqliteDatabase.Create(path))
        {
            database.Load([("user1", fields), ("user2", fields)]);
            database.Insert("user3", fields);
            database.Update("user2", 4, [1, 2, 3]);
            Assert.Equal("SP4202", Assert.Throws<DiagnosticException>(() => database.Insert("user3", fields)).Code);
        }

        string text = System.Text.Encoding.Latin1.GetString(File.ReadAllBytes(path));
        Assert.All((string[])["user1", "user2", "user3"], key => Assert.Contains(key, text, StringComparison.Ordinal));
    }

    [Fact]
    public void Dds_time_is_taken_from_what_it_says()
    {
        Assert.Equal(0.0712345, DdWorkload.SecondsOf("8+0 records in\n8+0 records out\n524288 bytes (524 kB, 512 KiB) copied, 0.0712345 s, 7.4 MB/s\n"));
        Assert.Equal(7.1e-05, DdWorkload.SecondsOf("65536 bytes (66 kB, 64 KiB) copied, 7.1e-05 s, 923 MB/s\n"));
        Assert.Equal("SP4202", Assert.Throws<DiagnosticException>(() => DdWorkload.SecondsOf("dd: no")).Code);
    }

    [Fact]
    public void Fios_bins_become_latencies()
    {
        WorkloadResult result = FioWorkload.Read("""
            note: something
            {"jobs": [{"error": 0, "write": {"total_ios": 4, "io_bytes": 16384, "runtime": 20, "clat_ns": {"bins": {"1000": 4}}}, "sync": {"lat_ns": {"bins": {"200000": 3, "900000": 1}}}}]}
            """, ofSync: true);
        Assert.Equal((4, 0.02, 16384L), (result.Operations, result.Seconds, result.Bytes));
        LatencyFiguresAre(result, 200, 900);
    }

    [Fact]
    public void A_run_on_a_device_with_slow_flushes_does_less_but_not_at_the_scale_of_the_papers()
    {
        var scaled = new Scaled(100, 1000, 5L << 14);
        Assert.Equal(100, new WorkloadSize(EvaluationScale.Quick, 200).Operations(scaled));
        Assert.Equal(20, new WorkloadSize(EvaluationScale.Quick, 2000).Operations(scaled));
        Assert.Equal(8, new WorkloadSize(EvaluationScale.Quick, 1e6).Operations(scaled));
        Assert.Equal(81920, new WorkloadSize(EvaluationScale.Paper, 1e6).Operations(scaled));
        // 5 GiB in blocks of 64 KiB.
        Assert.Equal(5L << 30, new DdWorkload(overwrites: false, syncsEachBlock: true).DiskBytes(new WorkloadSize(EvaluationScale.Paper, 200)));
    }

    [Fact]
    public void Workloads_that_write_here_and_there_ask_for_the_space_of_what_they_write()
    {
        var plan = new EvaluationPlan(EvaluationScale.Quick, 9, [DeviceRegime.AsIs], []) { SlowFlush = TimeSpan.FromMilliseconds(2), FlushMicroseconds = 100 };
        // Areas as large as what an L2 table maps, and ten times as many runs on each volume as 128 writes of 64 KiB.
        Assert.True(plan.DiskBytes(WorkloadCatalog.OfBlockDevice, DeviceRegime.AsIs) > 20L << 30);
        Assert.InRange(plan.SpaceTaken(WorkloadCatalog.OfBlockDevice, DeviceRegime.AsIs), 1L << 29, 2L << 30);
        // What is not sparse takes no more than it needs.
        Assert.Equal(1L << 30, plan.NeededBytes([new DdWorkload(overwrites: false, syncsEachBlock: true)], DeviceRegime.AsIs));
        Assert.Equal(1L << 30, plan.SpaceTaken([new DdWorkload(overwrites: false, syncsEachBlock: true)], DeviceRegime.AsIs));
    }

    [Fact]
    public void What_a_child_noted_and_what_was_noted_here_is_one_note()
    {
        var notes = new NoteCollector();
        notes.Add("SP3020: the journal is beside the image");
        notes.AddErrorsOf("sphost: note SP3020: the journal is beside the image\nsphost: warning SP1: another\n\n");
        Assert.Equal(["SP3020: the journal is beside the image", "SP1: another"], notes.Notes);
    }

    [Fact]
    public void Names_of_workloads_are_all_different_in_a_place()
    {
        foreach (IReadOnlyList<EvaluationWorkload> workloads in (IReadOnlyList<EvaluationWorkload>[])[
            WorkloadCatalog.OfBlockDevice, WorkloadCatalog.OfGuestFileSystem, .. Enum.GetValues<EvaluationScale>().Select(WorkloadCatalog.OfMemory)])
            Assert.Equal(workloads.Count, workloads.Select(workload => workload.Name).Distinct().Count());
    }

    [Fact]
    public void At_the_papers_sizes_large_workloads_have_disks_of_their_own_and_small_ones_share()
    {
        var plan = new EvaluationPlan(EvaluationScale.Paper, 1, [DeviceRegime.AsIs], []) { SlowFlush = TimeSpan.Zero };
        DdWorkload[] large = [.. WorkloadCatalog.OfGuestFileSystem.OfType<DdWorkload>()];
        Assert.Equal(large.Length, plan.Batches(large, DeviceRegime.AsIs).Count());
        IReadOnlyList<EvaluationWorkload> matrix = WorkloadCatalog.OfMemory(EvaluationScale.Paper);
        EvaluationWorkload[][] batches = [.. plan.Batches(matrix, DeviceRegime.AsIs)];
        Assert.Equal(matrix, batches.SelectMany(batch => batch));
        Assert.InRange(batches.Length, 2, matrix.Count / 4);
        Assert.All(batches, batch => Assert.True(batch.Length == 1 || batch.Sum(each => each.DiskBytes(plan.SizeOn(DeviceRegime.AsIs))) <= 1L << 30));
        var quick = plan with { Scale = EvaluationScale.Quick };
        Assert.Equal(WorkloadCatalog.OfGuestFileSystem, Assert.Single(quick.Batches(WorkloadCatalog.OfGuestFileSystem, DeviceRegime.AsIs)));
    }

    private static void LatencyFiguresAre(WorkloadResult result, double median, double largest)
    {
        var figures = result.Latencies!.Figures()!;
        Assert.Equal((median, largest), (figures.P50, figures.Largest));
    }
}
