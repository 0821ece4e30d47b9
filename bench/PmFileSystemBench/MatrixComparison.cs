namespace StoragePlugins.PmFileSystemBench;

/// <summary>Sets up who is compared, runs the matrix, takes it all down again.</summary>
internal sealed class MatrixComparison(string baseline, IReadOnlyList<Cell> cells, IReadOnlyList<SyncMode> modes, int rounds)
{
    /// <summary>Both sides get the same: four times the largest file, so that neither runs out of contiguous room.</summary>
    private const long VolumeBytes = 2L << 30;

    public MatrixReport Run(Scratch scratch, Action<string> progress, CancellationToken stop)
    {
        MachineFacts machine = MachineFacts.Read();
        progress("making ext4 on a RAM disk and the mapped regions");
        using Ext4 ext4 = Ext4.Make(baseline, scratch, VolumeBytes);
        using PmFileSystemVolume pmfs = PmFileSystemVolume.Make(Path.Combine(scratch.Path, "pmfs"), VolumeBytes);
        using var copy = new StreamingCopyVolume(scratch.MakeRegion("copy", cells.Max(cell => cell.FileBytes)));
        var run = new MatrixRun([ext4.Volume, pmfs, copy], rounds, progress);
        run.Run([.. from mode in modes from cell in cells select (mode, cell)], stop);
        var figures = new MatrixFigures(run.Figures, modes, cells, ext4.Volume.Name, pmfs.Name, copy.Name);
        string[] head =
        [
            machine.ToString(),
            $"baseline: {ext4.Description}",
            $"pmfs: in process, {VolumeBytes >> 20} MiB region in /dev/shm, all of it touched; a call is durable when it returns, so its figures of all modes are one thing measured three times",
            "DRAM stands in for persistent memory: nothing here survives a power cut. Limit: streaming copy, a non-temporal copy and a fence a record into a mapped region.",
        ];
        return new MatrixReport(figures, head, Targets.Of(figures), WrittenBytes.Measure(pmfs));
    }
}
