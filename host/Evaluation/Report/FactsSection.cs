using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation.Report;

/// <summary>On what machine, with what programs, who was measured, and what was left out.</summary>
internal static class FactsSection
{
    /// <summary>Writes them.</summary>
    public static void Write(MarkupWriter writer, EvaluationReport report)
    {
        WriteMachine(writer, report.Host, report.Versions);
        using (writer.In("section", ("id", "contenders")))
        {
            writer.Element("h2", "Who was measured");
            ReportTable.Write(
                writer, "Contenders", [new("Name"), new("Is"), new("Description")],
                report.Contenders.Select(contender => (IReadOnlyList<TableCell>)[contender.Name, contender.IsReference ? "reference" : "pipeline", new TableCell(contender.Description, Kind: "prose")]));
        }

        writer.Line();
        if (report.Notes.Count == 0) return;
        using (writer.In("section", ("id", "notes")))
        {
            writer.Element("h2", "Left out, and other notes");
            using (writer.In("ul", ("class", "notes")))
            {
                foreach (string note in report.Notes) writer.Element("li", note);
            }
        }

        writer.Line();
    }

    private static void WriteMachine(MarkupWriter writer, HostFacts host, IReadOnlyDictionary<string, string> versions)
    {
        using (writer.In("section", ("id", "machine")))
        {
            writer.Element("h2", "The machine");
            using (writer.In("div", ("class", "facts")))
            {
                WriteFacts(writer, [
                    ("Flush, 4 KiB overwritten", Figures.Microseconds(host.OverwriteFlushMicroseconds)),
                    ("Flush, 64 KiB appended", Figures.Microseconds(host.AppendFlushMicroseconds)),
                    ("Device’s write cache", CacheInWords(host.DeviceCache)),
                    ("Images in", host.Directory),
                    ("File system", host.FileSystem),
                    ("Device", host.Device),
                    ("Processor", host.Processor),
                    ("Processors", Figures.Count(host.Processors)),
                    ("Memory", Figures.Memory(host.MemoryBytes)),
                    ("Kernel", host.Kernel),
                    ("System", host.System),
                    ("Name", host.Machine),
                ]);
                WriteFacts(writer, versions.OrderBy(version => version.Key, StringComparer.Ordinal).Select(version => (version.Key, version.Value)));
            }
        }

        writer.Line();
    }

    private static void WriteFacts(MarkupWriter writer, IEnumerable<(string Name, string Value)> facts)
    {
        using (writer.In("dl"))
        {
            foreach ((string name, string value) in facts)
            {
                writer.Element("dt", name);
                writer.Element("dd", value);
            }
        }
    }

    private static string CacheInWords(WriteCacheKind cache) => cache switch
    {
        WriteCacheKind.Volatile => "volatile (write back)",
        WriteCacheKind.WriteThrough => "none to lose (write through)",
        _ => "unknown",
    };
}
