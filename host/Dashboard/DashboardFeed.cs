using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using StoragePlugins.Host.Commands;
using StoragePlugins.Host.Telemetry;

namespace StoragePlugins.Host.Dashboard;

/// <summary>Takes a sample of each disk every second, keeps the last ones, and gives them as server-sent events to who listens.</summary>
/// <remarks>Memory: 38 KB a disk, for <see cref="MaxDisks"/> at most; a listener that does not keep up loses events, not memory. Thread-safe.</remarks>
internal sealed class DashboardFeed : IDisposable
{
    /// <summary>Beyond this number disks have no charts: 2.5 MB of history, and more than anybody looks at on a page. OTLP is for those.</summary>
    public const int MaxDisks = 64;

    /// <summary>Events that wait for a listener: some seconds of a slow connection.</summary>
    private const int MaxWaiting = 8;

    private static readonly TimeSpan s_period = TimeSpan.FromSeconds(1);

    private readonly Func<IReadOnlyList<IMeteredDisk>> _disks;
    private readonly Lock _state = new();
    private readonly Dictionary<IMeteredDisk, DiskHistory> _histories = [];
    private readonly HashSet<Channel<byte[]>> _listeners = [];
    private readonly Timer _timer;
    private readonly DateTime _startedAt = DateTime.UtcNow;
    private int _left;
    private bool _isEnded;

    /// <param name="disks">What is served now.</param>
    public DashboardFeed(Func<IReadOnlyList<IMeteredDisk>> disks)
    {
        _disks = disks;
        Sample();
        _timer = new Timer(_ => Sample(), null, s_period, s_period);
    }

    /// <summary>Listens: all that is kept comes first, then each second's.</summary>
    public Channel<byte[]> Listen()
    {
        var listener = Channel.CreateBounded<byte[]>(new BoundedChannelOptions(MaxWaiting) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
        lock (_state)
        {
            listener.Writer.TryWrite(Event("history", WriteAll));
            if (_isEnded) listener.Writer.TryComplete();
            else _listeners.Add(listener);
        }

        return listener;
    }

    /// <summary>Ends listening.</summary>
    public void Leave(Channel<byte[]> listener)
    {
        lock (_state) _listeners.Remove(listener);
    }

    /// <summary>The totals of every disk: an array of what <c>sphost disk stats --json</c> prints.</summary>
    public byte[] Totals() => JsonSerializer.SerializeToUtf8Bytes(_disks().Select(DiskStatistics.Describe));

    /// <summary>Tells the listeners that the host stops.</summary>
    public void Dispose()
    {
        _timer.Dispose();
        lock (_state)
        {
            _isEnded = true;
            byte[] end = Event("end", static _ => { });
            foreach (Channel<byte[]> listener in _listeners)
            {
                listener.Writer.TryWrite(end);
                listener.Writer.TryComplete();
            }

            _listeners.Clear();
        }
    }

    private void Sample()
    {
        lock (_state)
        {
            if (_isEnded) return;
            IReadOnlyList<IMeteredDisk> disks = _disks();
            foreach (IMeteredDisk gone in _histories.Keys.Except(disks).ToArray()) _histories.Remove(gone);
            foreach (IMeteredDisk disk in disks)
                if (_histories.Count < MaxDisks && !_histories.ContainsKey(disk)) _histories.Add(disk, new DiskHistory(disk));
            _left = disks.Count - _histories.Count;
            long now = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
            foreach (DiskHistory history in _histories.Values) history.Sample(now);
            if (_listeners.Count == 0) return;
            byte[] tick = Event("tick", json => WriteDisks(json, all: false));
            foreach (Channel<byte[]> listener in _listeners) listener.Writer.TryWrite(tick);
        }
    }

    private void WriteAll(Utf8JsonWriter json)
    {
        json.WriteString("version", HostCommandLine.Version);
        json.WriteString("machine", Environment.MachineName);
        json.WriteString("startedAt", _startedAt);
        json.WriteNumber("samples", DiskHistory.Samples);
        json.WriteStartArray("series");
        foreach (string series in DiskHistory.Series) json.WriteStringValue(series);
        json.WriteEndArray();
        WriteDisks(json, all: true);
    }

    private void WriteDisks(Utf8JsonWriter json, bool all)
    {
        json.WriteNumber("disksLeftOut", _left);
        json.WriteStartArray("disks");
        foreach ((IMeteredDisk disk, DiskHistory history) in _histories)
        {
            json.WriteStartObject();
            json.WriteString("name", disk.Name);
            json.WriteString("export", disk.Export);
            json.WriteNumber("size", history.Size);
            json.WritePropertyName("stats");
            history.Statistics().WriteTo(json);
            json.WriteStartArray(all ? "history" : "sample");
            history.Write(json, all);
            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    // "event: NAME", one line of data, an empty line.
    private static byte[] Event(string name, Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        buffer.Write(Encoding.ASCII.GetBytes($"event: {name}\ndata: "));
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        buffer.Write("\n\n"u8);
        return buffer.WrittenSpan.ToArray();
    }
}
