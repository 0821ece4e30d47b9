using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Exports.Nbd;

namespace StoragePlugins.Host.Control;

/// <summary>Answers on the control socket of a running host, one client after the other.</summary>
/// <remarks>The socket has mode 0600: who may connect is whoever owns the host.</remarks>
internal sealed class ControlServer : IDisposable
{
    private readonly Socket _socket;
    private readonly Func<string, JsonObject, JsonObject> _answer;
    private readonly ILogger _logger;
    private readonly Thread _thread;
    private volatile bool _isStopping;

    private ControlServer(string path, Socket socket, Func<string, JsonObject, JsonObject> answer, ILogger logger)
    {
        (Path, _socket, _answer, _logger) = (path, socket, answer, logger);
        _thread = new Thread(Serve) { IsBackground = true, Name = "control" };
        _thread.Start();
    }

    /// <summary>The socket's path.</summary>
    public string Path { get; }

    /// <summary>Listens and answers.</summary>
    /// <param name="path">The socket.</param>
    /// <param name="answer">Makes the reply to a command; called by one thread. A <see cref="DiagnosticException"/> of it is the reply as well.</param>
    /// <param name="logger">Clients that were not answered.</param>
    /// <exception cref="DiagnosticException">SP4001 to SP4005: there is no listening there.</exception>
    public static ControlServer Start(string path, Func<string, JsonObject, JsonObject> answer, ILogger logger) => new(path, NbdListener.Listen(NbdListener.UnixSocket(path)), answer, logger);

    /// <summary>Ends it; a request under way is answered first. The socket's file is removed.</summary>
    public void Dispose()
    {
        _isStopping = true;
        _socket.Dispose();
        _thread.Join();
    }

    private void Serve()
    {
        while (!_isStopping)
        {
            Socket client;
            try
            {
                client = _socket.Accept();
            }
            catch (Exception ended) when (ended is SocketException or ObjectDisposedException)
            {
                if (_isStopping) return;
                // Out of descriptors, for example: it passes, and must not become a busy loop.
                Thread.Sleep(ControlProtocol.Patience / 50);
                continue;
            }

            using (client) Answer(client);
        }
    }

    private void Answer(Socket client)
    {
        try
        {
            ControlProtocol.WriteLine(client, Reply(ControlProtocol.ReadLine(client, ControlProtocol.Patience)));
        }
        catch (IOException gone)
        {
            _logger.LogWarning("SP4025: a client of the control socket was not answered: {Reason}", gone.Message);
        }
    }

    private JsonObject Reply(string line)
    {
        try
        {
            JsonObject request = JsonNode.Parse(line) as JsonObject ?? throw new JsonException("not an object");
            return _answer((string?)request["command"] ?? "", request);
        }
        catch (DiagnosticException failure)
        {
            return Failure([Diagnostic.From(failure)]);
        }
        catch (InvalidConfigurationException several)
        {
            return Failure(several.Errors);
        }
        catch (Exception malformed) when (malformed is JsonException or InvalidOperationException or FormatException)
        {
            return Failure([Diagnostic.Error("SP4025", "the request makes no sense", found: malformed.Message)]);
        }
    }

    private static JsonObject Failure(IEnumerable<Diagnostic> problems) => new()
    {
        ["ok"] = false,
        ["problems"] = new JsonArray([.. problems.Select(problem => (JsonNode)new JsonObject
        {
            ["code"] = problem.Code, ["what"] = problem.What, ["where"] = problem.Where, ["expected"] = problem.Expected, ["found"] = problem.Found, ["fix"] = problem.Fix,
        })]),
    };
}
