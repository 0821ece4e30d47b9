using System.Diagnostics;
using System.Text.Json.Nodes;

namespace StoragePlugins.GuestBarrierBench;

/// <summary>One contender in one mode, round after round.</summary>
internal sealed class Cell(Contender contender, Mode mode)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(3);

    private readonly List<Round> _rounds = [];

    public Contender Contender => contender;

    public Mode Mode => mode;

    public IReadOnlyList<Round> Rounds => _rounds;

    /// <summary>What was measured so far does not count.</summary>
    public void Forget() => _rounds.Clear();

    /// <summary>A new image, a server, the test client, the server's counts, and nothing of it left.</summary>
    public void Measure(string sphost, string folder, int operations)
    {
        string config = Path.Combine(folder, "pipelines.json"), socket = Path.Combine(folder, "s"), image = Path.Combine(folder, "disk");
        File.WriteAllText(config, $"{{ \"pipelines\": {{ \"it\": {contender.Pipeline} }} }}");
        foreach (string file in Directory.GetFiles(folder, "disk*")) File.Delete(file);
        var start = new ProcessStartInfo(sphost, ["serve", image, "--config", config, "-p", "it", "--size", "4G", "--socket", socket]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process server = Process.Start(start)!;
        Task<string> errors = server.StandardError.ReadToEndAsync();
        try
        {
            string? line;
            do line = server.StandardOutput.ReadLine() ?? throw new InvalidOperationException($"{contender.Name}: {errors.Result}");
            while (!line.StartsWith("stop: ", StringComparison.Ordinal));
            JsonNode test = Ask(sphost, ["nbd-test", $"nbd+unix:///?socket={socket}", "-n", $"{operations}", "--json", .. mode.Arguments]);
            JsonNode stats = Ask(sphost, ["disk", "stats", "--control", image + ".control", "--json"])[0]!;
            JsonNode figures = test["figures"]!;
            _rounds.Add(new Round((double)figures["operationsPerSecond"]!, (double)figures["operation"]!["median"]!, (double)figures["operation"]!["p99"]!, (double)stats["hostFlushes"]! / operations, (double)stats["barriers"]! / operations));
        }
        finally
        {
            using Process kill = Process.Start("kill", $"{server.Id}");
            server.StandardOutput.ReadToEnd();
            if (!server.WaitForExit(s_patience)) server.Kill();
        }
    }

    private static JsonNode Ask(string sphost, string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(sphost, arguments) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        if (!process.WaitForExit(s_patience) || process.ExitCode != 0) throw new InvalidOperationException($"sphost {string.Join(' ', arguments)} failed");
        return JsonNode.Parse(output)!;
    }
}

/// <summary>One measurement.</summary>
/// <param name="Rate">Writes a second, flushes included.</param>
/// <param name="Median">Of an operation, in µs.</param>
/// <param name="P99">Of an operation, in µs.</param>
/// <param name="HostFlushes">For each write.</param>
/// <param name="Barriers">For each write.</param>
internal sealed record Round(double Rate, double Median, double P99, double HostFlushes, double Barriers);
