using System.Globalization;

namespace StoragePlugins.Host.Evaluation.Report;

/// <summary>Numbers as people read them: three digits, a unit that fits; the same in every culture.</summary>
internal static class Figures
{
    /// <summary>In place of a figure that there is not.</summary>
    public const string None = "–";

    /// <summary>From here on a number's digits say less than its power of ten.</summary>
    private const double LargestPlain = 1e12;

    // Decimal steps: storage's rates are counted in 10^6 bytes.
    private static readonly (double From, string Unit)[] s_bytes = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];

    private static readonly (double From, string Unit)[] s_times = [(1e6, "s"), (1e3, "ms")];

    /// <summary>Bytes a second.</summary>
    public static string BytesPerSecond(double? value) => InUnits(value, s_bytes, "B", "/s");

    /// <summary>Operations a second.</summary>
    public static string OperationsPerSecond(double? value) => IsFigure(value) ? $"{Number(value)}/s" : None;

    /// <summary>A time.</summary>
    /// <param name="value">In µs.</param>
    public static string Microseconds(double? value) => InUnits(value, s_times, "µs", "");

    /// <summary>A ratio, such as 3.21×.</summary>
    public static string Times(double? value) => IsFigure(value) ? $"{Number(value)}×" : None;

    /// <summary>A range of ratios, such as 2.98–3.40×.</summary>
    public static string Times(Results.Interval? range) => range is null ? None : $"{Number(range.Smallest)}–{Number(range.Largest)}×";

    /// <summary>A change, such as +81.1 % or −2.7 %.</summary>
    public static string Change(double? percent)
    {
        if (!IsFigure(percent)) return None;
        double rounded = Math.Round(percent.GetValueOrDefault(), 1, MidpointRounding.AwayFromZero);
        if (Math.Abs(rounded) >= LargestPlain) return $"{Scientific(rounded)} %";
        string digits = Math.Abs(rounded).ToString("#,0.0", CultureInfo.InvariantCulture);
        return $"{(rounded < 0 ? "−" : "+")}{digits} %";
    }

    /// <summary>A fraction, such as 12 %.</summary>
    public static string Percent(double? fraction) => IsFigure(fraction) ? $"{Number(fraction * 100, digits: 2)} %" : None;

    /// <summary>Memory, in GiB.</summary>
    public static string Memory(long bytes) => $"{Number(bytes / (double)(1 << 30))} GiB";

    /// <summary>Seconds, such as 2 min 41 s.</summary>
    public static string Duration(double seconds)
    {
        if (!double.IsFinite(seconds) || seconds < 0 || seconds >= LargestPlain) return None;
        if (seconds < 60) return $"{Number(seconds)} s";
        long whole = (long)Math.Round(seconds, MidpointRounding.AwayFromZero);
        return whole < 3600 ? $"{whole / 60} min {whole % 60} s" : $"{whole / 3600} h {whole % 3600 / 60} min";
    }

    /// <summary>How many, in groups of three digits.</summary>
    public static string Count(long value) => value.ToString("#,0", CultureInfo.InvariantCulture);

    /// <summary>Significant digits; what is before the point keeps all of its, in groups of three.</summary>
    public static string Number(double? value, int digits = 3)
    {
        if (!IsFigure(value)) return None;
        double number = value.GetValueOrDefault();
        double size = Math.Abs(number);
        if (size == 0) return "0";
        int decimals = digits - 1 - (int)Math.Floor(Math.Log10(size));
        // A number that rounding lifts to the next power of ten has one decimal less: 9.996 is 10.0.
        if (decimals is > 0 and <= 15 && Math.Round(size, decimals) >= Math.Pow(10, digits - decimals)) decimals--;
        if (size >= LargestPlain || decimals > 6) return Scientific(number);
        return number.ToString(decimals <= 0 ? "#,0" : "0." + new string('0', decimals), CultureInfo.InvariantCulture).Replace('-', '−');
    }

    /// <summary>For machines: sort keys and positions. As short as it can be read back.</summary>
    public static string Exact(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    /// <summary>Whether there is something to show.</summary>
    public static bool IsFigure(double? value) => value is { } number && double.IsFinite(number);

    private static string Scientific(double value) => value.ToString("0.00e0", CultureInfo.InvariantCulture).Replace('-', '−');

    private static string InUnits(double? value, (double From, string Unit)[] units, string smallest, string suffix)
    {
        if (!IsFigure(value)) return None;
        double number = value.GetValueOrDefault();
        foreach ((double from, string unit) in units)
        {
            // What would be shown as 1,000 of one unit is 1.00 of the next.
            if (Math.Abs(number) >= from * 0.9995) return $"{Number(number / from)} {unit}{suffix}";
        }

        return $"{Number(number)} {smallest}{suffix}";
    }
}
