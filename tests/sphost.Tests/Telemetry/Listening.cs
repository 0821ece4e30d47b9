using System.Diagnostics.Metrics;
using StoragePlugins.Host.Telemetry;

namespace StoragePlugins.Host.Tests.Telemetry;

/// <summary>A measurement that was heard.</summary>
/// <param name="Value">Its value.</param>
/// <param name="Tags">Its tags.</param>
internal sealed record Heard(double Value, IReadOnlyDictionary<string, string> Tags);

/// <summary>Listens to the instruments as dotnet-counters and OpenTelemetry do.</summary>
internal sealed class Listening : IDisposable
{
    private readonly MeterListener _listener = new();
    private readonly List<(Instrument Instrument, Heard Heard)> _heard = [];

    public Listening()
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name != DiskInstruments.MeterName) return;
            Instruments.Add(instrument);
            listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Hear(instrument, value, tags));
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Hear(instrument, value, tags));
        _listener.Start();
    }

    public List<Instrument> Instruments { get; } = [];

    /// <summary>Reads all instruments.</summary>
    /// <returns>What was measured, by instrument.</returns>
    public ILookup<string, Heard> Observe()
    {
        _heard.Clear();
        _listener.RecordObservableInstruments();
        return _heard.ToLookup(pair => pair.Instrument.Name, pair => pair.Heard);
    }

    public void Dispose() => _listener.Dispose();

    private void Hear(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags) =>
        _heard.Add((instrument, new Heard(value, tags.ToArray().ToDictionary(tag => tag.Key, tag => tag.Value!.ToString()!))));
}
