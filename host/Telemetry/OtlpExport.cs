using System.Diagnostics.Tracing;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using StoragePlugins.Host.Commands;

namespace StoragePlugins.Host.Telemetry;

/// <summary>Sends what <see cref="DiskInstruments"/> say to an OpenTelemetry collector, every OTEL_METRIC_EXPORT_INTERVAL (60 s where that is not set) and at the end.</summary>
/// <remarks>The one class that knows OpenTelemetry: its assemblies are loaded by <see cref="Start"/> and not before. A thread of the SDK collects and sends; a collector
/// that is not there costs it an attempt an interval, and serving nothing.</remarks>
internal sealed class OtlpExport : IDisposable
{
    /// <summary>What the last sending may take when the host stops: a collector that is well answers in milliseconds.</summary>
    private const int LastSendMilliseconds = 2000;

    private readonly MeterProvider _provider;
    private readonly FailureTold _failures;

    private OtlpExport(MeterProvider provider, FailureTold failures) => (_provider, _failures) = (provider, failures);

    /// <summary>Begins to send.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static OtlpExport Start(OtlpTarget target, ILogger logger)
    {
        var failures = new FailureTold(target, logger);
        MeterProvider provider = Sdk.CreateMeterProviderBuilder()
            .ConfigureResource(resource => resource.AddService(target.ServiceName, serviceVersion: HostCommandLine.Version, autoGenerateServiceInstanceId: true))
            .AddMeter(DiskInstruments.MeterName)
            .AddOtlpExporter(options =>
            {
                options.Endpoint = target.Endpoint;
                options.Protocol = target.IsGrpc ? OtlpExportProtocol.Grpc : OtlpExportProtocol.HttpProtobuf;
            })
            .Build();
        return new OtlpExport(provider, failures);
    }

    /// <summary>Sends what there is now and ends.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public void Dispose()
    {
        _provider.Shutdown(LastSendMilliseconds);
        _provider.Dispose();
        _failures.Dispose();
    }

    /// <summary>The exporter tells its failures to an event source only; the operator is told of the first.</summary>
    private sealed class FailureTold(OtlpTarget target, ILogger logger) : EventListener
    {
        private const string ExporterSource = "OpenTelemetry-Exporter-OpenTelemetryProtocol";
        private int _told;

        protected override void OnEventSourceCreated(EventSource eventSource)
        {
            if (eventSource.Name == ExporterSource) EnableEvents(eventSource, EventLevel.Warning);
        }

        // Called by the base class's constructor too, before this object is complete.
        protected override void OnEventWritten(EventWrittenEventArgs eventData)
        {
            if (eventData.EventSource.Name != ExporterSource || Interlocked.Exchange(ref _told, 1) != 0) return;
            string reason = string.Join("; ", (eventData.Payload ?? []).Select(part => part?.ToString()?.Split('\n', 2)[0].Trim()).Where(part => !string.IsNullOrEmpty(part)));
            logger.LogWarning("SP4244: metrics could not be sent to {Endpoint}: {Reason}; serving goes on, sending is tried again, and further failures are not told", target.Endpoint, reason);
        }
    }
}
