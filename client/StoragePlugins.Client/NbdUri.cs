using System.Globalization;

namespace StoragePlugins.Client;

/// <summary>Where an export is: <c>nbd://HOST[:PORT]/[EXPORT]</c> or <c>nbd+unix:///[EXPORT]?socket=PATH</c>, as the NBD URI specification has it.</summary>
/// <param name="Host">Name or address for TCP; null for a Unix socket.</param>
/// <param name="Port">TCP port.</param>
/// <param name="SocketPath">Path of the Unix socket; null for TCP.</param>
/// <param name="Export">The export's name; empty for the server's default.</param>
public sealed record NbdUri(string? Host, int Port, string? SocketPath, string Export)
{
    /// <summary>The port that IANA gave to NBD.</summary>
    public const int DefaultPort = 10809;

    private const string TcpScheme = "nbd", UnixScheme = "nbd+unix";

    /// <summary>Reads a URI.</summary>
    /// <exception cref="FormatException">It is none of these; the message says what is wrong.</exception>
    public static NbdUri Parse(string uri)
    {
        ArgumentNullException.ThrowIfNull(uri);
        int colon = uri.IndexOf("://", StringComparison.Ordinal);
        string scheme = colon < 0 ? "" : uri[..colon];
        if (scheme is "nbds" or "nbds+unix") throw new FormatException($"'{scheme}' means TLS, which is not spoken here.");
        if (scheme is not (TcpScheme or UnixScheme)) throw new FormatException($"A URI begins with {TcpScheme}:// or {UnixScheme}://.");
        string rest = uri[(colon + 3)..];
        int question = rest.IndexOf('?', StringComparison.Ordinal);
        string query = question < 0 ? "" : rest[(question + 1)..];
        if (question >= 0) rest = rest[..question];
        int slash = rest.IndexOf('/', StringComparison.Ordinal);
        string authority = slash < 0 ? rest : rest[..slash];
        string export = slash < 0 ? "" : Uri.UnescapeDataString(rest[(slash + 1)..]);
        string? socket = SocketOf(query);
        if (scheme == UnixScheme)
        {
            if (authority.Length > 0) throw new FormatException($"{UnixScheme}:// is followed by /EXPORT?socket=PATH, not by a host.");
            if (string.IsNullOrEmpty(socket)) throw new FormatException($"{UnixScheme}:// needs ?socket=PATH.");
            return new NbdUri(null, 0, socket, export);
        }

        (string host, int port) = HostAndPort(authority);
        return new NbdUri(host, port, null, export);
    }

    /// <inheritdoc/>
    public override string ToString() => SocketPath is not null
        ? $"{UnixScheme}:///{Uri.EscapeDataString(Export)}?socket={Uri.EscapeDataString(SocketPath).Replace("%2F", "/", StringComparison.Ordinal)}"
        : $"{TcpScheme}://{(Host!.Contains(':', StringComparison.Ordinal) ? $"[{Host}]" : Host)}:{Port.ToString(CultureInfo.InvariantCulture)}/{Uri.EscapeDataString(Export)}";

    private static (string Host, int Port) HostAndPort(string authority)
    {
        int at = authority.IndexOf('@', StringComparison.Ordinal);
        if (at >= 0) authority = authority[(at + 1)..];
        int bracket = authority.IndexOf(']', StringComparison.Ordinal);
        int portAt = authority.IndexOf(':', bracket < 0 ? 0 : bracket);
        string host = portAt < 0 ? authority : authority[..portAt];
        if (host.StartsWith('[')) host = bracket > 0 ? host[1..bracket] : "";
        if (host.Length == 0) throw new FormatException($"{TcpScheme}:// is followed by a host.");
        int port = DefaultPort;
        if (portAt >= 0 && portAt + 1 < authority.Length
            && (!int.TryParse(authority.AsSpan(portAt + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port) || port is < 1 or > ushort.MaxValue))
            throw new FormatException($"'{authority[(portAt + 1)..]}' is no port.");
        return (host, port);
    }

    // What is not known is ignored, as the specification has it.
    private static string? SocketOf(string query)
    {
        foreach (string part in query.Split('&'))
        {
            if (part.StartsWith("socket=", StringComparison.Ordinal)) return Uri.UnescapeDataString(part["socket=".Length..]);
        }

        return null;
    }
}
