using StoragePlugins.Host.Commands;
using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Serving;

/// <summary>What <c>serve</c> and <c>mount</c> print at their end: what each image's guests asked for, and what that cost the host.</summary>
internal static class ServeSummary
{
    /// <summary>Writes a line an image; with <see cref="FailureReport.TraceVariable"/> set also how much managed memory was allocated while serving.</summary>
    /// <param name="output">Standard output.</param>
    /// <param name="images">The images.</param>
    /// <param name="allocatedBytes">Managed memory allocated while serving.</param>
    public static void Write(CommandOutput output, IReadOnlyList<OpenedImage> images, long allocatedBytes)
    {
        foreach (OpenedImage image in images) output.WriteLine(Describe(image.Path, image.Meter.Read()));
        if (Environment.GetEnvironmentVariable(FailureReport.TraceVariable) is "1")
            output.WriteLine($"allocated {allocatedBytes} bytes for {images.Sum(image => Requests(image.Meter.Read()))} requests");
    }

    /// <summary>The line for a reading.</summary>
    internal static string Describe(string image, MeterReading m)
    {
        string[] classes =
        [
            .. Enum.GetValues<ContentClass>().Where(c => m.HostBytesByClass[(int)c] > 0)
                .Select(c => $"{Spaced(c)} {m.HostBytesByClass[(int)c]:n0}"),
        ];
        string written = classes.Length == 0 ? "" : $"; bytes written: {string.Join(", ", classes)}";
        string barriers = m.GuestBarriers == 0 ? "" : $" and {m.GuestBarriers:n0} guest barriers";
        return $"{image}: {Requests(m):n0} requests; {m.GuestFlushes:n0} guest flushes{barriers} → {m.HostFlushes:n0} host flushes, {m.Barriers:n0} barriers{written}";
    }

    private static long Requests(MeterReading m) => m.GuestReads + m.GuestWrites + m.GuestFlushes + m.GuestBarriers;

    // GuestData → guest data
    private static string Spaced(ContentClass content) =>
        string.Concat(content.ToString().Select((c, i) => char.IsUpper(c) ? (i > 0 ? " " : "") + char.ToLowerInvariant(c) : c.ToString()));
}
