using System.CommandLine;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Dashboard;

namespace StoragePlugins.Host.Telemetry;

/// <summary>How a host that serves is watched: instruments always, OTLP and dashboard where they are asked for.</summary>
internal sealed class Monitoring : IDisposable
{
    private static readonly Option<string?> s_otlp = new("--otlp") { Description = "Send metrics to an OpenTelemetry collector (http://localhost:4318; port 4317 means gRPC). OTEL_EXPORTER_OTLP_ENDPOINT does the same.", HelpName = "URL" };
    private static readonly Option<string?> s_dashboard = new("--dashboard") { Description = "Show live charts at http://ADDRESS:PORT/, for this machine only. There is no login.", HelpName = "[ADDRESS:]PORT" };
    private static readonly Option<bool> s_remote = new("--dashboard-remote") { Description = "Let --dashboard listen on an address that other machines reach." };

    private readonly OtlpTarget? _target;
    private readonly DashboardServer? _dashboard;
    private readonly ILogger _logger;
    private DiskInstruments? _instruments;
    private OtlpExport? _otlp;

    private Monitoring(OtlpTarget? target, DashboardServer? dashboard, ILogger logger) => (_target, _dashboard, _logger) = (target, dashboard, logger);

    /// <summary>What to print: where the dashboard is, where metrics go. Empty where neither was asked for.</summary>
    public IEnumerable<string> Banner
    {
        get
        {
            if (_dashboard is not null) yield return $"watch: {_dashboard.Address}";
            if (_target is not null) yield return $"metrics: {_target.Protocol} to {_target.Endpoint}, as {_target.ServiceName}";
        }
    }

    /// <summary>Adds the options to a command.</summary>
    public static void AddTo(Command command)
    {
        command.Options.Add(s_otlp);
        command.Options.Add(s_dashboard);
        command.Options.Add(s_remote);
    }

    /// <summary>Makes ready what is asked for, before any disk is opened: what makes no sense, or a port that is taken, then costs nothing.</summary>
    /// <param name="commandLine">Of a command with the options.</param>
    /// <param name="settings">Of the configuration.</param>
    /// <param name="logger">Warnings.</param>
    /// <exception cref="DiagnosticException">SP4240 to SP4243, SP4245: it makes no sense, or the dashboard cannot listen.</exception>
    public static Monitoring Prepare(ParseResult commandLine, TelemetrySettings settings, ILogger logger)
    {
        OtlpTarget? target = OtlpTarget.Choose(commandLine.GetValue(s_otlp), settings, Environment.GetEnvironmentVariable);
        string? dashboard = commandLine.GetValue(s_dashboard) ?? settings.Dashboard;
        return new Monitoring(target, dashboard is null ? null : DashboardServer.Listen(DashboardAddress.Parse(dashboard, commandLine.GetValue(s_remote)), logger), logger);
    }

    /// <summary>Begins.</summary>
    /// <param name="disks">What is served now; asked again and again, by any thread.</param>
    public void Start(Func<IReadOnlyList<IMeteredDisk>> disks)
    {
        _instruments = new DiskInstruments(disks);
        if (_target is not null) _otlp = StartOtlp(_target, _logger);
        _dashboard?.Start(disks);
    }

    /// <summary>Sends the last figures, tells the dashboard's clients that the host stops, and ends.</summary>
    public void Dispose()
    {
        _dashboard?.Dispose();
        _otlp?.Dispose();
        _instruments?.Dispose();
    }

    // Apart, so that OpenTelemetry is not loaded where nothing is sent.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static OtlpExport StartOtlp(OtlpTarget target, ILogger logger) => OtlpExport.Start(target, logger);
}
