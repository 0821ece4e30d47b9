using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Exports.Nbd;

namespace StoragePlugins.Host.Tests.Exports;

/// <summary>A server over test disks on a Unix socket in a folder of its own.</summary>
internal sealed class NbdTestServer : IDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("nbd");
    private readonly List<ServedDisk> _disks = [];

    public NbdTestServer(IVirtualDisk disk, NbdLimits? limits = null)
        : this([("", disk, "")], limits)
    {
    }

    public NbdTestServer(IEnumerable<(string Name, IVirtualDisk Disk, string Description)> disks, NbdLimits? limits = null)
    {
        var exports = new List<NbdExport>();
        foreach ((string name, IVirtualDisk disk, string description) in disks)
        {
            var served = new ServedDisk(name, disk, new StorageMeter());
            _disks.Add(served);
            exports.Add(new NbdExport(name, served, description));
        }

        Server = new NbdServer(exports, limits ?? new NbdLimits(), Log);
        Server.Start(NbdListener.UnixSocket(SocketPath));
    }

    public NbdServer Server { get; }

    public ServedDisk Disk => _disks[0];

    public RecordingLog Log { get; } = new();

    public string SocketPath => Path.Combine(_folder.FullName, "s");

    public string Folder => _folder.FullName;

    public string Uri(string export = "") => $"nbd+unix:///{export}?socket={SocketPath}";

    public Socket Connect()
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
        {
            ReceiveTimeout = (int)Patience.TotalMilliseconds,
            SendTimeout = (int)Patience.TotalMilliseconds,
        };
        socket.Connect(new UnixDomainSocketEndPoint(SocketPath));
        return socket;
    }

    /// <summary>A client past the greeting.</summary>
    public NbdTestClient Greet()
    {
        var client = new NbdTestClient(Connect());
        client.Greet();
        return client;
    }

    /// <summary>A client in transmission, with structured replies unless told otherwise.</summary>
    public NbdTestClient Open(bool structured = true, params string[] contexts)
    {
        NbdTestClient client = Greet();
        if (structured) client.NegotiateStructured();
        if (contexts.Length > 0) client.SetContexts("", contexts);
        client.Go("");
        return client;
    }

    public static void Eventually(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Patience, $"still not true: {what}");
            Thread.Sleep(2);
        }
    }

    public void Dispose()
    {
        Server.Dispose();
        foreach (ServedDisk disk in _disks) disk.Dispose();
        _folder.Delete(recursive: true);
    }
}

/// <summary>Keeps what the server says.</summary>
internal sealed class RecordingLog : ILogger
{
    private readonly ConcurrentQueue<string> _lines = new();

    public IEnumerable<string> Lines => _lines;

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (logLevel >= LogLevel.Warning) _lines.Enqueue($"{logLevel}: {formatter(state, exception)} {exception}");
    }
}
