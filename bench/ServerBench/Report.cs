using System.Globalization;
using System.Text.Json;

namespace StoragePlugins.ServerBench;

/// <summary>What was measured of one server under one load.</summary>
internal sealed record Figure(string Format, string Workload, string Server, IReadOnlyList<double> RequestsPerSecond)
{
    /// <summary>The middle of the rounds.</summary>
    public double Median
    {
        get
        {
            double[] sorted = [.. RequestsPerSecond.Order()];
            return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
        }
    }

    /// <summary>(largest − smallest) / median.</summary>
    public double Spread => (RequestsPerSecond.Max() - RequestsPerSecond.Min()) / Median;
}

/// <summary>What was measured of the memory of one of our servers.</summary>
/// <param name="Format">Of the image.</param>
/// <param name="Server">Which.</param>
/// <param name="IdleBytes">Resident before any load.</param>
/// <param name="AfterLoadBytes">Resident after the loads, idle again.</param>
/// <param name="AllocatedBytesPerRequest">Of the garbage-collected heap; known of our servers.</param>
internal sealed record MemoryFigure(string Format, string Server, long IdleBytes, long AfterLoadBytes, double? AllocatedBytesPerRequest);

/// <summary>The whole of a run.</summary>
internal sealed record Report(IReadOnlyList<Figure> Figures, IReadOnlyList<MemoryFigure> Memory)
{
    private const double MiB = 1024 * 1024;
    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    public void WriteJson(TextWriter output) => output.WriteLine(JsonSerializer.Serialize(this, s_json));

    /// <summary>A table: one line a server, ratios to each peer of the same format and load.</summary>
    public void WriteText(TextWriter output)
    {
        foreach (IGrouping<(string Format, string Workload), Figure> group in Figures.GroupBy(figure => (figure.Format, figure.Workload)))
        {
            output.WriteLine($"{group.Key.Format}, {group.Key.Workload}");
            foreach (Figure figure in group)
            {
                string ratios = string.Join("  ", group.Where(peer => peer != figure)
                    .Select(peer => string.Create(CultureInfo.InvariantCulture, $"{figure.Median / peer.Median:0.00}x {peer.Server}")));
                output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {figure.Server,-14}{figure.Median,10:0}/s  ±{figure.Spread / 2:0.0%}  {ratios}"));
            }
        }

        foreach (MemoryFigure memory in Memory)
        {
            string allocated = memory.AllocatedBytesPerRequest is { } bytes ? string.Create(CultureInfo.InvariantCulture, $", {bytes:0.000} bytes allocated per request") : "";
            output.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{memory.Format}, {memory.Server}: {memory.IdleBytes / MiB:0} MiB resident idle, {memory.AfterLoadBytes / MiB:0} MiB after the loads{allocated}"));
        }
    }
}
