using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation.Report;

/// <summary>The report as one HTML file that needs no other: no network, no fonts, and scripts only for comfort.</summary>
internal static class EvaluationReportPage
{
    private static readonly string s_style = Resource("report.css");
    private static readonly string s_script = Resource("report.js");

    // Nothing is fetched, and no style or script but these two is heeded: what a report's texts may hold stays text.
    private static readonly string s_policy = $"default-src 'none'; img-src data:; style-src '{HashOf(s_style)}'; script-src '{HashOf(s_script)}'; base-uri 'none'; form-action 'none'";

    /// <summary>Writes it. Equal reports make equal files; the encoding is to be UTF-8.</summary>
    /// <param name="output">Where to; stays open.</param>
    /// <param name="report">What is told.</param>
    public static void Write(TextWriter output, EvaluationReport report)
    {
        var writer = new MarkupWriter(output);
        var contents = new ReportContents(report);
        writer.Verbatim("<!DOCTYPE html>\n");
        using (writer.In("html", ("lang", "en")))
        {
            WriteHead(writer, report);
            using (writer.In("body"))
            {
                WriteHeader(writer, contents);
                using (writer.In("main"))
                {
                    SummarySection.Write(writer, contents);
                    foreach (ReportSection section in contents.Sections) WorkloadSection.Write(writer, contents, section);
                    PapersSection.Write(writer, report.Papers);
                    FactsSection.Write(writer, report);
                    WriteData(writer, report);
                }

                using (writer.In("script")) writer.Verbatim(s_script);
            }
        }

        writer.Line();
    }

    private static void WriteHead(MarkupWriter writer, EvaluationReport report)
    {
        using (writer.In("head"))
        {
            writer.Empty("meta", ("charset", "utf-8"));
            writer.Empty("meta", ("http-equiv", "Content-Security-Policy"), ("content", s_policy));
            writer.Empty("meta", ("name", "viewport"), ("content", "width=device-width, initial-scale=1"));
            writer.Empty("meta", ("name", "color-scheme"), ("content", "light dark"));
            writer.Empty("link", ("rel", "icon"), ("href", "data:,"));
            writer.Element("title", $"Evaluation of {report.Host.Machine}, {DateOf(report)}");
            using (writer.In("style")) writer.Verbatim(s_style);
        }

        writer.Line();
    }

    private static void WriteHeader(MarkupWriter writer, ReportContents contents)
    {
        EvaluationReport report = contents.Report;
        using (writer.In("header"))
        {
            using (writer.In("div", ("class", "title")))
            {
                writer.Element("h1", "Virtual disks, evaluated");
                WriteColorSwitch(writer);
            }

            string rounds = report.Rounds == 1 ? "1 round" : $"{Figures.Count(report.Rounds)} rounds";
            writer.Element("p", $"{DateOf(report)} UTC · scale {report.Scale} · {rounds} · {Figures.Duration(report.TookSeconds)} · {report.Host.Machine}", ("class", "about"));
            if (report.IsInterrupted)
                writer.Element("p", "Ended before its time: the figures are those of the rounds that were whole.", ("class", "interrupted"), ("role", "note"));
            using (writer.In("nav", ("aria-label", "Contents")))
            {
                writer.Element("a", "Summary", ("href", "#summary"));
                foreach (ReportSection section in contents.Sections) writer.Element("a", WorkloadSection.TitleOf(contents, section), ("href", "#" + section.Id));
                if (report.Papers.Count > 0) writer.Element("a", "Papers", ("href", "#papers"));
                writer.Element("a", "Machine", ("href", "#machine"));
                if (report.Notes.Count > 0) writer.Element("a", "Notes", ("href", "#notes"));
                writer.Element("a", "Data", ("href", "#data"));
            }
        }

        writer.Line();
    }

    // Radio buttons that the style sheet looks at: they work without scripts.
    private static void WriteColorSwitch(MarkupWriter writer)
    {
        using (writer.In("fieldset", ("class", "colors")))
        {
            writer.Element("legend", "Colours");
            foreach ((string id, string label) in ((string, string)[])[("auto", "Auto"), ("light", "Light"), ("dark", "Dark")])
            {
                using (writer.In("label"))
                {
                    writer.Empty("input", ("type", "radio"), ("name", "colors"), ("id", "colors-" + id), ("checked", id == "auto" ? "" : null));
                    writer.Element("span", label);
                }
            }
        }
    }

    private static void WriteData(MarkupWriter writer, EvaluationReport report)
    {
        using (writer.In("section", ("id", "data")))
        {
            writer.Element("h2", "The data, and how to repeat it");
            using (writer.In("pre", ("tabindex", "0"))) writer.Element("code", report.Command);
            using (writer.In("p"))
            {
                writer.Element("a", "Download JSON", ("id", "download"), ("download", $"evaluation-{report.Started.ToString("yyyyMMdd-HHmm", CultureInfo.InvariantCulture)}.json"), ("hidden", ""));
                writer.Element("span", "Every figure of this page stands in it as JSON, in the script element with the id “figures”.", ("class", "about"));
            }
        }

        // Serialized with <, > and & escaped, so that no text in it can end the element.
        using (writer.In("script", ("type", "application/json"), ("id", "figures"))) writer.Verbatim(EvaluationReportJson.Write(report));
        writer.Line();
    }

    private static string DateOf(EvaluationReport report) => report.Started.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture);

    private static string HashOf(string text) => "sha256-" + Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    private static string Resource(string name)
    {
        using var reader = new StreamReader(typeof(EvaluationReportPage).Assembly.GetManifestResourceStream(name)!);
        return reader.ReadToEnd();
    }
}
