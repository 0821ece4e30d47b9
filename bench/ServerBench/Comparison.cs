namespace StoragePlugins.ServerBench;

/// <summary>Runs every load on every server, round after round, so that the machine's moods meet all of them alike.</summary>
internal sealed class Comparison(IReadOnlyDictionary<string, IReadOnlyList<ServerKind>> serversByFormat, int rounds, TimeSpan time, string directory, Action<string> progress)
{
    private readonly Dictionary<(string Format, string Workload, string Server), List<double>> _figures = [];
    private readonly Dictionary<(string Format, string Server), MemoryFigure> _memory = [];

    /// <param name="size">Bytes of each image.</param>
    public Report Run(long size)
    {
        foreach ((string format, IReadOnlyList<ServerKind> servers) in serversByFormat)
        {
            string image = TestImage.Create(directory, format, size);
            for (int round = 1; round <= rounds; round++)
            {
                foreach (ServerKind server in servers)
                {
                    progress($"round {round} of {rounds}: {format} by {server.Name}");
                    RunRound(server, image, format);
                }
            }

            File.Delete(image);
        }

        return new Report([.. _figures.Select(entry => new Figure(entry.Key.Format, entry.Key.Workload, entry.Key.Server, entry.Value))], [.. _memory.Values]);
    }

    private void RunRound(ServerKind kind, string image, string format)
    {
        string socket = Path.Combine(directory, "bench.sock");
        using ServerProcess server = ServerProcess.Start(kind, image, format, socket);
        long idle = server.ResidentBytes();
        foreach (Workload workload in Workload.All)
        {
            var key = (format, workload.Name, kind.Name);
            if (!_figures.TryGetValue(key, out List<double>? figures)) _figures[key] = figures = [];
            figures.Add(workload.Run(socket, time));
        }

        long after = server.ResidentBytes();
        ServerCosts? costs = server.Stop();
        if (kind.IsOurs) _memory[(format, kind.Name)] = new MemoryFigure(format, kind.Name, idle, after, costs is null ? null : (double)costs.AllocatedBytes / costs.Requests);
    }
}
