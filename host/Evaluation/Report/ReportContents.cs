using StoragePlugins.Host.Evaluation.Report.Charts;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation.Report;

/// <summary>The rows of one place and regime.</summary>
/// <param name="Id">In the page.</param>
/// <param name="Place">Where.</param>
/// <param name="Regime">On which device.</param>
/// <param name="Workloads">Those that ran there, in order.</param>
internal sealed record ReportSection(string Id, EvaluationPlace Place, DeviceRegime Regime, IReadOnlyList<WorkloadRows> Workloads);

/// <summary>The rows of one workload in one place and regime.</summary>
/// <param name="Id">In the page.</param>
/// <param name="Workload">Which.</param>
/// <param name="Rows">One a contender, in order.</param>
internal sealed record WorkloadRows(string Id, WorkloadFacts Workload, IReadOnlyList<EvaluationRow> Rows);

/// <summary>A report in the order in which it is told, with the words and looks of its parts.</summary>
internal sealed class ReportContents
{
    private readonly Dictionary<string, (ContenderFacts Facts, ContenderStyle Style, int Order)> _contenders = new(StringComparer.Ordinal);
    private readonly Dictionary<string, WorkloadFacts> _workloads = new(StringComparer.Ordinal);

    /// <summary>Orders a report. Rows whose contender or workload is nowhere described are shown by their names.</summary>
    public ReportContents(EvaluationReport report)
    {
        Report = report;
        foreach (ContenderFacts contender in report.Contenders) AddContender(contender);
        foreach (WorkloadFacts workload in report.Workloads) _workloads.TryAdd(workload.Name, workload);
        foreach (EvaluationRow row in report.Rows)
        {
            if (!_contenders.ContainsKey(row.Contender)) AddContender(new ContenderFacts(row.Contender, "", IsReference: false));
            _workloads.TryAdd(row.Workload, new WorkloadFacts(row.Workload, row.Workload, "", ""));
        }

        string[] order = [.. _workloads.Keys];
        Sections = [.. report.Rows.GroupBy(row => (row.Place, row.Regime)).OrderBy(group => group.Key)
            .Select((group, index) => SectionOf($"s{index + 1}", group.Key.Place, group.Key.Regime, group.GroupBy(row => row.Workload).OrderBy(rows => Array.IndexOf(order, rows.Key))))];
        Standings = [.. report.Rows.Where(row => Standing.IsCompared(row) && !IsReference(row.Contender)).GroupBy(row => row.Contender)
            .OrderBy(group => OrderOf(group.Key)).Select(group => new Standing(group.Key, [.. group]))];
    }

    /// <summary>What it is drawn from.</summary>
    public EvaluationReport Report { get; }

    /// <summary>Places and regimes, in order.</summary>
    public IReadOnlyList<ReportSection> Sections { get; }

    /// <summary>How each pipeline stands, in the order of the tables; empty without a reference.</summary>
    public IReadOnlyList<Standing> Standings { get; }

    /// <summary>The pipeline that the summary speaks of: the default one; where it was not measured, the one with the most comparisons. Null without any.</summary>
    public Standing? Leading => Standings.OrderByDescending(standing => _contenders[standing.Contender].Facts.IsDefault).ThenByDescending(standing => standing.Compared.Count).FirstOrDefault();

    /// <summary>How a contender looks.</summary>
    public ContenderStyle StyleOf(string contender) => _contenders[contender].Style;

    /// <summary>Whether it is a peer.</summary>
    public bool IsReference(string contender) => _contenders[contender].Facts.IsReference;

    /// <summary>Whether it is what a user gets who names no pipeline.</summary>
    public bool IsDefault(string contender) => _contenders[contender].Facts.IsDefault;

    /// <summary>Its place in tables and charts.</summary>
    public int OrderOf(string contender) => _contenders[contender].Order;

    /// <summary>A workload's title.</summary>
    public string TitleOf(string workload) => _workloads[workload].Title;

    /// <summary>Who all others of these rows are compared with: the reference whose own speed-up is 1. Null without one.</summary>
    public string? BaselineOf(IEnumerable<EvaluationRow> rows) => rows.FirstOrDefault(row => IsReference(row.Contender) && row.SpeedUp == 1)?.Contender;

    /// <summary>"in a guest file system, device as it is".</summary>
    public string Where(EvaluationRow row) => $"{PlaceInWords(row.Place)}, {RegimeInWords(row.Regime)}";

    /// <summary>For the middle of a sentence.</summary>
    public static string PlaceInWords(EvaluationPlace place) => place switch
    {
        EvaluationPlace.BlockDevice => "on the block device",
        EvaluationPlace.GuestFileSystem => "in a guest file system",
        EvaluationPlace.VirtualMachine => "in a virtual machine",
        EvaluationPlace.MemoryFileSystem => "in a memory file system",
        _ => place.ToString(),
    };

    /// <summary>What a place is, in a sentence.</summary>
    public static string PlaceExplained(EvaluationPlace place) => place switch
    {
        EvaluationPlace.BlockDevice => "The disk itself, as a client has it over NBD.",
        EvaluationPlace.GuestFileSystem => "ext4 on a loop device on a FUSE export of the disk; the reference's disk is exported by its own FUSE server in the same stack.",
        EvaluationPlace.VirtualMachine => "A virtual machine whose disk it is.",
        EvaluationPlace.MemoryFileSystem => "A file system in persistent memory, real or emulated: the second paper.",
        _ => "",
    };

    /// <summary>For the middle of a sentence.</summary>
    public string RegimeInWords(DeviceRegime regime) => regime == DeviceRegime.AsIs
        ? "device as it is"
        : $"flushes {Figures.Microseconds(Report.SlowFlushMicroseconds)} slower";

    private ReportSection SectionOf(string id, EvaluationPlace place, DeviceRegime regime, IEnumerable<IGrouping<string, EvaluationRow>> workloads)
        => new(id, place, regime, [.. workloads.Select((rows, index) => new WorkloadRows($"{id}w{index + 1}", _workloads[rows.Key], [.. rows.OrderBy(row => OrderOf(row.Contender))]))]);

    private void AddContender(ContenderFacts contender)
    {
        int alike = _contenders.Values.Count(other => other.Facts.IsReference == contender.IsReference);
        _contenders.TryAdd(contender.Name, (contender, ContenderStyle.Of(alike, contender.IsReference), _contenders.Count));
    }
}
