using System.Globalization;

namespace StoragePlugins.FuseBench;

/// <summary>What was measured: one line a load and contender, the middle of the rounds, half of what lies between them, and the ratio to the peer.</summary>
internal sealed class RateTable
{
    private readonly Dictionary<(Contender Contender, Workload Workload), List<(double Requests, double Bytes)>> _rates = [];

    public void Add(Contender contender, Workload workload, (double Requests, double Bytes) rate)
    {
        if (!_rates.TryGetValue((contender, workload), out List<(double, double)>? rates)) _rates[(contender, workload)] = rates = [];
        rates.Add(rate);
    }

    public void Write(TextWriter output)
    {
        foreach (IGrouping<(bool IsDisk, Workload Workload), (Contender Contender, Workload Workload)> group in _rates.Keys.GroupBy(key => (key.Contender.IsDisk, key.Workload)))
        {
            output.WriteLine($"{(group.Key.IsDisk ? "disk" : "tree")}, {group.Key.Workload.Name}");
            foreach (var key in group)
            {
                double[] requests = [.. _rates[key].Select(rate => rate.Requests).Order()];
                double middle = Middle(requests), spread = (requests[^1] - requests[0]) / 2 / middle;
                double bytes = Middle([.. _rates[key].Select(rate => rate.Bytes).Order()]);
                (Contender, Workload) peer = group.FirstOrDefault(other => other.Contender.Name == key.Contender.Peer && other.Contender != key.Contender);
                string ratio = peer.Item1 is null ? "" : string.Create(CultureInfo.InvariantCulture, $"  {middle / Middle([.. _rates[peer].Select(rate => rate.Requests).Order()]):0.00}x");
                output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {key.Contender.Name,-28}{middle,10:0}/s {bytes / 1e6,8:0} MB/s ±{spread:0%}{ratio}"));
            }
        }
    }

    private static double Middle(double[] sorted) => (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
}
