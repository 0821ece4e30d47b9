using System.Diagnostics;

namespace StoragePlugins.BarrierOverheadBench;

/// <summary>One load on all volumes: a piece on each in turn, in an order that changes each time, so that the machine's moods meet all alike.</summary>
internal static class PairedRun
{
    /// <summary>Pieces that are run before the clock counts: caches, files and the runtime's compiler.</summary>
    private const int Rehearsals = 2;

    /// <param name="load">What to do.</param>
    /// <param name="volumes">Where.</param>
    /// <param name="pieces">Pieces of each volume.</param>
    /// <param name="operations">Operations of a piece.</param>
    /// <param name="cancel">Ends it between two pieces.</param>
    public static LoadFigures Run(Load load, IReadOnlyList<Volume> volumes, int pieces, int operations, CancellationToken cancel)
    {
        var prepared = new List<IPreparedLoad>();
        try
        {
            foreach (Volume volume in volumes) prepared.Add(load.Prepare(volume));
            foreach (Volume volume in volumes) volume.Settle();
            for (int i = 0; i < Rehearsals; i++)
            {
                foreach (IPreparedLoad each in prepared) each.Run(operations);
            }

            double[][] seconds = [.. volumes.Select(_ => new double[pieces])];
            var counts = new Counts[volumes.Count];
            for (int piece = 0; piece < pieces; piece++)
            {
                for (int turn = 0; turn < volumes.Count; turn++)
                {
                    cancel.ThrowIfCancellationRequested();
                    // Every other round runs backwards: each goes as often before a given other one as behind it.
                    int which = (piece + (piece % 2 == 0 ? turn : volumes.Count - 1 - turn)) % volumes.Count;
                    Counts before = volumes[which].Counts;
                    long start = Stopwatch.GetTimestamp();
                    prepared[which].Run(operations);
                    seconds[which][piece] = Stopwatch.GetElapsedTime(start).TotalSeconds;
                    counts[which] += volumes[which].Counts - before;
                }
            }

            return new LoadFigures(load, operations, pieces, [.. volumes.Select((volume, i) => new VolumeFigures(volume.Contender, seconds[i], counts[i]))]);
        }
        finally
        {
            foreach (IPreparedLoad each in prepared) each.Dispose();
        }
    }
}

/// <summary>What a load took on all volumes.</summary>
/// <param name="Load">Which.</param>
/// <param name="Operations">Of each piece.</param>
/// <param name="SetPieces">Pieces on each set of images.</param>
/// <param name="Volumes">In the contenders' order.</param>
internal sealed record LoadFigures(Load Load, int Operations, int SetPieces, IReadOnlyList<VolumeFigures> Volumes)
{
    /// <summary>With those of another set of images.</summary>
    public LoadFigures With(LoadFigures other) => this with
    {
        Volumes = [.. Volumes.Select(own =>
        {
            VolumeFigures its = other.Volumes.First(each => each.Contender == own.Contender);
            return new VolumeFigures(own.Contender, [.. own.Seconds, .. its.Seconds], own.Counts + its.Counts);
        })],
    };
}

/// <summary>What it took on one.</summary>
/// <param name="Contender">Whose.</param>
/// <param name="Seconds">Of each piece, in the order they were run.</param>
/// <param name="Counts">Of all of them together.</param>
internal sealed record VolumeFigures(Contender Contender, double[] Seconds, Counts Counts);
