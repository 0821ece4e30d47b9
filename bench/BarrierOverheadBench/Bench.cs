using StoragePlugins.Host.Commands;

namespace StoragePlugins.BarrierOverheadBench;

/// <summary>Sets all contenders up side by side in each place and runs the loads there.</summary>
internal sealed class Bench(HostSession host, IReadOnlyList<Contender> contenders, string configuration, string folder, bool freshJournal)
{
    /// <summary>Times that everything is done on fresh images.</summary>
    public required int Sets { get; init; }

    /// <summary>Pieces of each contender and load on each set of images.</summary>
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
        var figures = new Dictionary<Load, LoadFigures>();
        for (int set = 0; loads.Count > 0 && set < Sets; set++)
        {
            Console.Error.WriteLine($"set {set + 1} of {Sets}");
            // Each is the first to be made in its turn: who comes first has the better places of the device.
            foreach (LoadFigures of in RunSet(loads, [.. contenders.Skip(set % contenders.Count), .. contenders.Take(set % contenders.Count)], open, cancel))
                figures[of.Load] = figures.TryGetValue(of.Load, out LoadFigures? before) ? before.With(of) : of;
        }

        foreach (LoadFigures each in loads.Select(load => figures[load]))
        {
            LoadFigures ordered = each with { Volumes = [.. contenders.Select(contender => each.Volumes.First(volume => volume.Contender == contender))] };
            Figures.Add((Regime, ordered));
            Report.Write(Console.Out, Regime, ordered);
        }
    }

    private List<LoadFigures> RunSet(IReadOnlyList<Load> loads, IReadOnlyList<Contender> order, Func<Contender, string, Volume> open, CancellationToken cancel)
    {
        var volumes = new List<Volume>();
        try
        {
            foreach (Contender contender in order) volumes.Add(open(contender, Directory.CreateDirectory(Path.Combine(folder, contender.Name)).FullName));
            return [.. loads.Select(load => PairedRun.Run(load, volumes, Pairs, Operations, cancel))];
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
