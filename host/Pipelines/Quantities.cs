using System.Globalization;

namespace StoragePlugins.Host.Pipelines;

/// <summary>Sizes and durations as people write them.</summary>
internal static class Quantities
{
    private const string SizeSuffixes = "bkmgtpe"; // powers of 1024, as qemu-img

    private static readonly (string Suffix, decimal Ticks)[] s_durations =
        [("ns", 0.01m), ("µs", 10m), ("us", 10m), ("ms", 10_000m), ("s", 10_000_000m), ("m", 600_000_000m), ("h", 36_000_000_000m)];

    /// <summary>Reads "64K", "1.5G" or "512": bytes, with the suffixes of qemu-img (b, K, M, G, T, P, E; powers of 1024).</summary>
    /// <returns>False when it is no size, has a fraction of a byte, or exceeds 2^63 − 1.</returns>
    public static bool TryParseSize(string text, out long bytes)
    {
        bytes = 0;
        if (text.Length == 0) return false;
        int power = SizeSuffixes.IndexOf(char.ToLowerInvariant(text[^1]), StringComparison.Ordinal);
        if (!TryParseNumber(power < 0 ? text : text[..^1], out decimal number)) return false;
        decimal factor = 1;
        for (int i = 0; i < power; i++) factor *= 1024;
        return TryToInt64(number, factor, out bytes);
    }

    /// <summary>Reads "2ms", "500us", "1.5s", "1m" (minute), "1h"; a bare "0" too.</summary>
    public static bool TryParseDuration(string text, out TimeSpan duration)
    {
        duration = default;
        if (text == "0") return true;
        foreach ((string suffix, decimal ticks) in s_durations)
        {
            if (!text.EndsWith(suffix, StringComparison.Ordinal) || !TryParseNumber(text[..^suffix.Length], out decimal number)) continue;
            if (!TryToInt64(number, ticks, out long total)) return false;
            duration = TimeSpan.FromTicks(total);
            return true;
        }

        return false;
    }

    /// <summary>Bytes with the largest suffix that leaves a whole number: "64K", "10G", "513".</summary>
    public static string FormatSize(long bytes)
    {
        int power = 0;
        while (bytes != 0 && power < SizeSuffixes.Length - 1 && bytes % 1024 == 0)
        {
            bytes /= 1024;
            power++;
        }

        return string.Create(CultureInfo.InvariantCulture, $"{bytes}{(power == 0 ? "" : char.ToUpperInvariant(SizeSuffixes[power]).ToString())}");
    }

    /// <summary>A duration as <see cref="TryParseDuration"/> reads it.</summary>
    public static string FormatDuration(TimeSpan duration)
    {
        (string suffix, decimal ticks) = s_durations.LastOrDefault(unit => unit.Ticks >= 1 && duration.Ticks != 0 && duration.Ticks % unit.Ticks == 0);
        return duration.Ticks == 0 ? "0" : suffix is null
            ? string.Create(CultureInfo.InvariantCulture, $"{duration.Ticks * 100}ns")
            : string.Create(CultureInfo.InvariantCulture, $"{duration.Ticks / ticks:0}{suffix}");
    }

    private static bool TryParseNumber(string text, out decimal number)
        => decimal.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out number);

    private static bool TryToInt64(decimal number, decimal factor, out long result)
    {
        result = 0;
        if (number > long.MaxValue / factor) return false;
        decimal product = number * factor;
        if (product > long.MaxValue || product != decimal.Truncate(product)) return false;
        result = (long)product;
        return true;
    }
}
