using StoragePlugins.Host.Commands;

namespace StoragePlugins.BarrierOverheadBench;

/// <summary>Sets all contenders up side by side in each place and runs the loads there.</summary>
internal sealed class Bench(HostSession host, IReadOnlyList<Contender> contenders, string configuration, string folder, bool freshJournal)
{
    /// <summary>Pieces of each contender and load.</summary>
    public required int Pairs { get; init; }

    /// <summary>Operations of a piece.</summary>
    public required int Operations { get; init; }

    /// <summary>The device, in words.</summary>
    public required string Regime { get; init; }

    /// <summary>What was measured so far.</summary>
    public List<(string Regime, LoadFigures Figures)> Figures { get; } = [];

    /// <summary>Runs the chosen loads and writes a table for each.</summary>
    public void Run(Func<Load, bool> isChosen, CancellationToken cancel)
    {
        RunPlace([.. BlockLoad.All.Where(isChosen)], (contender, own) => new BlockVolume(contender, host, Path.Combine(own, "disk.qcow2"), Path.Combine(own, "nbd.sock")), cancel);
        RunPlace([.. GuestLoad.All.Where(isChosen)], (contender, own) => new GuestVolume(contender, host, configuration, own, freshJournal), cancel);
    }

    private void RunPlace(IReadOnlyList<Load> loads, Func<Contender, string, Volume> open, CancellationToken cancel)
    {
        if (loads.Count == 0) return;
        var volumes = new List<Volume>();
        try
        {
            foreach (Contender contender in contenders) volumes.Add(open(contender, Directory.CreateDirectory(Path.Combine(folder, contender.Name)).FullName));
            foreach (Load load in loads)
            {
                LoadFigures figures = PairedRun.Run(load, volumes, Pairs, Operations, cancel);
                Figures.Add((Regime, figures));
                Report.Write(Console.Out, Regime, figures);
            }
        }
        finally
        {
            foreach (Volume volume in volumes)
            {
                volume.Dispose();
                Directory.Delete(Path.Combine(folder, volume.Contender.Name), recursive: true);
            }
        }
    }
}
