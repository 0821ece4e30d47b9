using System.Text;
using StoragePlugins.Host.Evaluation.Report;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Browser.Tests;

/// <summary>A report on the disk, as a reader has it.</summary>
internal sealed class ReportFile : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"sphost-report-{Guid.NewGuid():n}.html");

    public ReportFile(EvaluationReport report)
    {
        using var file = new StreamWriter(_path, append: false, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
        EvaluationReportPage.Write(file, report);
    }

    /// <summary>For the browser.</summary>
    public string Address => new Uri(_path).AbsoluteUri;

    public void Dispose() => File.Delete(_path);
}
