using System.Globalization;
using System.Text.Json;

namespace StoragePlugins.BarrierOverheadBench;

/// <summary>Writes what was measured.</summary>
internal static class Report
{
    /// <summary>A table for a load.</summary>
    public static void Write(TextWriter output, string regime, LoadFigures figures)
    {
        VolumeFigures first = figures.Volumes[0];
        output.WriteLine();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{figures.Load.Name} ({regime}): {figures.Load.Description}; {first.Seconds.Length} pairs of {figures.Operations} operations on {first.Seconds.Length / figures.SetPieces} sets of images"));
        output.WriteLine($"  {"",-18}{"µs/op",8}  {"throughput",-26}{"of qemu-2.1's",-26}{"writes",7}{"flushes",9}{"txns",7}{"metadata",10}{"barriers",10}{"fdatasyncs",12}{"CPU µs",8}  each an operation");
        foreach (VolumeFigures volume in figures.Volumes)
        {
            double operations = (double)volume.Seconds.Length * figures.Operations;
            double Each(long count) => count / operations;
            string gain = volume == first ? "" : GainOver(figures, volume, Contender.Ordered);
            string gainOfOld = volume.Contender.Name == Contender.Qemu21Barrier ? GainOver(figures, volume, Contender.Qemu21) : "";
            double microseconds = PairedStatistics.Median(volume.Seconds) / figures.Operations * 1e6;
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {volume.Contender.Name,-18}{microseconds,8:0.0}  {gain,-26}{gainOfOld,-26}{Each(volume.Counts.GuestWrites),7:0.00}{Each(volume.Counts.GuestFlushes),9:0.00}{Each(volume.Counts.Transactions),7:0.00}{Each(volume.Counts.MetadataWrites),10:0.00}{Each(volume.Counts.Barriers),10:0.00}{Each(volume.Counts.HostFlushes),12:0.00}{volume.Counts.Processor.TotalMicroseconds / operations,8:0.0}"));
        }

        if (figures.Volumes.FirstOrDefault(each => each.Contender.Name == Contender.OrderedAgain) is { } again)
        {
            double[] alone = PairedStatistics.GainsOfSets(again.Seconds, first.Seconds, figures.SetPieces);
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  a difference of {PairedStatistics.Questioned:0.0%} takes about {PairedStatistics.PairsFor(again.Seconds, first.Seconds)} such pairs; equal things, each set by itself ({figures.SetPieces * figures.Operations} operations): {string.Join(", ", alone.Select(Percent))}: {alone.Count(each => Math.Abs(each) >= PairedStatistics.Questioned)} of {alone.Length} differ by as much"));
        }
    }

    /// <summary>All pieces of all loads.</summary>
    public static string ToJson(IEnumerable<(string Regime, LoadFigures Figures)> all) => JsonSerializer.Serialize(all.Select(each => new
    {
        regime = each.Regime,
        load = each.Figures.Load.Name,
        operations = each.Figures.Operations,
        setPieces = each.Figures.SetPieces,
        volumes = each.Figures.Volumes.Select(volume => new { name = volume.Contender.Name, seconds = volume.Seconds, counts = volume.Counts }),
    }));

    private static string GainOver(LoadFigures figures, VolumeFigures volume, string baseline)
    {
        if (figures.Volumes.FirstOrDefault(each => each.Contender.Name == baseline) is not { } its) return "";
        Gain gain = PairedStatistics.GainOf(volume.Seconds, its.Seconds, figures.SetPieces);
        return $"{Percent(gain.Median)} [{Percent(gain.Low)} .. {Percent(gain.High)}]";
    }

    private static string Percent(double part) => part.ToString("+0.0%;-0.0%", CultureInfo.InvariantCulture);
}
