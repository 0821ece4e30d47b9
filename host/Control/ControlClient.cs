using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Nodes;
using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Exports.Nbd;

namespace StoragePlugins.Host.Control;

/// <summary>Asks a running host.</summary>
internal static class ControlClient
{
    /// <summary>What control sockets are called; a host's own name comes before it.</summary>
    public const string Suffix = ".control";

    // A switch waits for requests under way, and closes and opens an image.
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(60);

    /// <summary>The socket to ask: the one named, or the only one of this folder.</summary>
    /// <exception cref="DiagnosticException">SP4024: there is none, or more than one.</exception>
    public static string Locate(string? named)
    {
        if (named is not null) return named;
        string[] sockets = [.. Directory.EnumerateFileSystemEntries(".", "*" + Suffix).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];
        return sockets.Length == 1 ? sockets[0] : throw new DiagnosticException(
            "SP4024", "it is not clear which host is meant", expected: $"one socket *{Suffix} in this folder", found: sockets.Length == 0 ? "none" : string.Join(", ", sockets),
            fix: "name it with --control; 'sphost serve' prints it");
    }

    /// <summary>Sends a request and returns the reply.</summary>
    /// <exception cref="DiagnosticException">SP4024: nobody answers there. Otherwise what the host says.</exception>
    /// <exception cref="InvalidConfigurationException">The host says several things.</exception>
    public static JsonObject Ask(string path, JsonObject request)
    {
        JsonObject reply;
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            socket.Connect(NbdListener.UnixSocket(path));
            ControlProtocol.WriteLine(socket, request);
            reply = JsonNode.Parse(ControlProtocol.ReadLine(socket, s_timeout)) as JsonObject ?? throw new JsonException("not an object");
        }
        catch (Exception failure) when (failure is SocketException or IOException or JsonException)
        {
            throw new DiagnosticException("SP4024", "no host answers on the control socket", path, found: failure.Message, fix: "check that 'sphost serve' runs, and name the socket that it prints with --control", inner: failure);
        }

        if ((bool?)reply["ok"] is true) return reply;
        Diagnostic[] problems = [.. (reply["problems"]?.AsArray() ?? []).OfType<JsonObject>().Select(problem => Diagnostic.Error(
            (string?)problem["code"] ?? "SP4025", (string?)problem["what"] ?? "", (string?)problem["where"], (string?)problem["expected"], (string?)problem["found"], (string?)problem["fix"]))];
        throw problems.Length == 1 ? problems[0].ToException() : new InvalidConfigurationException(problems);
    }
}
