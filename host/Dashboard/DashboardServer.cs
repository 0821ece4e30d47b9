using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Telemetry;

namespace StoragePlugins.Host.Dashboard;

/// <summary>The dashboard: a page, its files, and a stream of figures, for a few browsers. There is nothing that a request could change.</summary>
/// <remarks>
/// <para>Why not a server of the framework's: Kestrel wants the shared framework of ASP.NET Core, and the host would not start any more where only .NET is
/// installed; HttpListener takes as many connections as come and lets each take its time, in a process that has disks to serve. What is needed is little: GET of a
/// handful of paths, one request a connection, no bodies.</para>
/// <para>Bounds: connections (<see cref="MaxConnections"/>), the head's length and time, the time that a client may take to read.</para>
/// </remarks>
internal sealed class DashboardServer : IDisposable
{
    /// <summary>Each page that is open holds one, and loading it takes six for a moment. Who comes then is sent away.</summary>
    public const int MaxConnections = 32;

    private const int Backlog = 16;

    /// <summary>A browser sends its request at once.</summary>
    private static readonly TimeSpan s_headPatience = TimeSpan.FromSeconds(5);

    /// <summary>A client that takes nothing for so long has gone or sleeps; it comes again and gets all that is kept.</summary>
    private static readonly TimeSpan s_sendPatience = TimeSpan.FromSeconds(10);

    /// <summary>How long clients may take to hear that the host stops.</summary>
    private static readonly TimeSpan s_endPatience = TimeSpan.FromSeconds(1);

    // A pause after a failed accept (no descriptors left): without it the loop would spin.
    private static readonly TimeSpan s_acceptRetryDelay = TimeSpan.FromMilliseconds(100);

    private const string CommonHeaders =
        "Cache-Control: no-store\r\n"
        + "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
        + "Cross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n";

    private readonly Socket _listener;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lock _lock = new();
    private readonly HashSet<Task> _connections = [];
    private DashboardFeed? _feed;
    private Task _accepting = Task.CompletedTask;

    private DashboardServer(Socket listener, ILogger logger) => (_listener, _logger) = (listener, logger);

    /// <summary>What to open in a browser.</summary>
    public string Address => $"http://{_listener.LocalEndPoint}/";

    /// <summary>Listens; who connects waits for <see cref="Start"/>.</summary>
    /// <param name="address">Where.</param>
    /// <param name="logger">Warnings.</param>
    /// <exception cref="DiagnosticException">SP4240: another program listens there. SP4245: it cannot listen there.</exception>
    public static DashboardServer Listen(DashboardAddress address, ILogger logger)
    {
        Socket listener = Listen(address.EndPoint);
        if (!address.IsLoopback) logger.LogWarning("SP4246: the dashboard at {Address} can be read by whoever reaches this machine: there is no login and no encryption", listener.LocalEndPoint);
        return new DashboardServer(listener, logger);
    }

    /// <summary>Serves.</summary>
    /// <param name="disks">What is served now.</param>
    public void Start(Func<IReadOnlyList<IMeteredDisk>> disks)
    {
        _feed = new DashboardFeed(disks);
        _accepting = Task.Run(() => AcceptAsync(_feed));
    }

    /// <summary>Tells the pages that the host stops, and ends.</summary>
    public void Dispose()
    {
        _stopping.Cancel();
        _listener.Dispose();
        _accepting.Wait();
        _feed?.Dispose();
        Task[] connections;
        lock (_lock) connections = [.. _connections];
        // Those that are not done are cut off with the process.
        Task.WaitAll(connections, s_endPatience);
    }

    private static Socket Listen(IPEndPoint endPoint)
    {
        var socket = new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(endPoint);
            socket.Listen(Backlog);
            return socket;
        }
        catch (SocketException failure)
        {
            socket.Dispose();
            throw failure.SocketErrorCode == SocketError.AddressAlreadyInUse
                ? new DiagnosticException("SP4240", "another program listens where the dashboard is to be", endPoint.ToString(), fix: "stop it, or name another port with --dashboard; 0 lets the system choose", inner: failure)
                : new DiagnosticException("SP4245", "the dashboard cannot listen", endPoint.ToString(), found: failure.Message, fix: "use an address of this machine and a port that you may use", inner: failure);
        }
    }

    private async Task AcceptAsync(DashboardFeed feed)
    {
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                Admit(feed, await _listener.AcceptAsync(_stopping.Token).ConfigureAwait(false));
            }
            catch (Exception ended) when (ended is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException failure)
            {
                _logger.LogDebug("dashboard accept failed: {Reason}", failure.Message);
                await Task.Delay(s_acceptRetryDelay).ConfigureAwait(false);
            }
        }
    }

    private void Admit(DashboardFeed feed, Socket client)
    {
        lock (_lock)
        {
            _connections.RemoveWhere(task => task.IsCompleted);
            if (_connections.Count < MaxConnections)
            {
                _connections.Add(Task.Run(() => ServeAsync(feed, client)));
                return;
            }
        }

        client.Dispose();
    }

    private static async Task ServeAsync(DashboardFeed feed, Socket client)
    {
        using Socket _ = client;
        client.NoDelay = true;
        try
        {
            using var patience = new CancellationTokenSource(s_headPatience);
            await AnswerAsync(feed, client, await HttpRequestHead.ReceiveAsync(client, patience.Token).ConfigureAwait(false)).ConfigureAwait(false);
            client.Shutdown(SocketShutdown.Send);
        }
        catch (Exception gone) when (gone is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // It left, or took too long: nothing is owed to it.
        }
    }

    private static Task AnswerAsync(DashboardFeed feed, Socket client, HttpRequestHead? request)
    {
        if (request is null) return SendAsync(client, "400 Bad Request", "text/plain", "no request\n"u8.ToArray());
        if (!DashboardAddress.IsTrustedHost(request.Host)) return SendAsync(client, "421 Misdirected Request", "text/plain", "open the dashboard by its address, or as localhost\n"u8.ToArray());
        bool isHead = request.Method == "HEAD";
        if (!isHead && request.Method != "GET") return SendAsync(client, "405 Method Not Allowed", "text/plain", "GET\n"u8.ToArray(), "Allow: GET, HEAD\r\n");
        if (request.Path == "/events" && !isHead) return StreamAsync(feed, client);
        if (request.Path == "/stats.json") return SendAsync(client, "200 OK", "application/json", feed.Totals(), isHead: isHead);
        return DashboardAssets.Find(request.Path) is { } file
            ? SendAsync(client, "200 OK", file.Type, file.Content, isHead: isHead)
            : SendAsync(client, "404 Not Found", "text/plain", "not here\n"u8.ToArray(), isHead: isHead);
    }

    private static async Task StreamAsync(DashboardFeed feed, Socket client)
    {
        Channel<byte[]> events = feed.Listen();
        try
        {
            await SendAsync(client, Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{CommonHeaders}\r\nretry: 2000\n\n")).ConfigureAwait(false);
            await foreach (byte[] next in events.Reader.ReadAllAsync().ConfigureAwait(false)) await SendAsync(client, next).ConfigureAwait(false);
        }
        finally
        {
            feed.Leave(events);
        }
    }

    private static async Task SendAsync(Socket client, string status, string type, byte[] content, string headers = "", bool isHead = false)
    {
        await SendAsync(client, Encoding.ASCII.GetBytes($"HTTP/1.1 {status}\r\nContent-Type: {type}\r\nContent-Length: {content.Length}\r\n{headers}{CommonHeaders}\r\n")).ConfigureAwait(false);
        if (!isHead) await SendAsync(client, content).ConfigureAwait(false);
    }

    private static async Task SendAsync(Socket client, ReadOnlyMemory<byte> bytes)
    {
        using var patience = new CancellationTokenSource(s_sendPatience);
        while (bytes.Length > 0) bytes = bytes[await client.SendAsync(bytes, patience.Token).ConfigureAwait(false)..];
    }
}
