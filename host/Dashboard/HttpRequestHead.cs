using System.Net.Sockets;
using System.Text;

namespace StoragePlugins.Host.Dashboard;

/// <summary>The first line of an HTTP/1.1 request and the one header that matters here.</summary>
/// <param name="Method">As written.</param>
/// <param name="Path">Without a query.</param>
/// <param name="Host">The header Host; empty without one.</param>
internal sealed record HttpRequestHead(string Method, string Path, string Host)
{
    /// <summary>A browser's request with its cookies for other things on localhost; those of browsers end at 16 KiB or so.</summary>
    private const int MaxBytes = 16 << 10;

    private static ReadOnlySpan<byte> End => "\r\n\r\n"u8;

    /// <summary>Receives it. What follows it is not looked at: requests without a body, one a connection.</summary>
    /// <returns>Null when it is no request, too long, or the connection ends first.</returns>
    /// <exception cref="OperationCanceledException">It does not come in time.</exception>
    public static async Task<HttpRequestHead?> ReceiveAsync(Socket socket, CancellationToken cancel)
    {
        byte[] bytes = new byte[MaxBytes];
        int length = 0;
        while (length < bytes.Length)
        {
            int got = await socket.ReceiveAsync(bytes.AsMemory(length), cancel).ConfigureAwait(false);
            if (got == 0) return null;
            length += got;
            int end = bytes.AsSpan(0, length).IndexOf(End);
            if (end >= 0) return Parse(Encoding.Latin1.GetString(bytes, 0, end));
        }

        return null;
    }

    /// <summary>Understands the lines of a head.</summary>
    internal static HttpRequestHead? Parse(string head)
    {
        string[] lines = head.Split("\r\n");
        string[] first = lines[0].Split(' ');
        if (first.Length != 3 || !first[2].StartsWith("HTTP/1.", StringComparison.Ordinal) || !first[1].StartsWith('/')) return null;
        string[] hosts = [.. from line in lines.Skip(1)
                             let colon = line.IndexOf(':')
                             where colon > 0 && line.AsSpan(0, colon).Equals("host", StringComparison.OrdinalIgnoreCase)
                             select line[(colon + 1)..].Trim()];
        return hosts.Length > 1 ? null : new HttpRequestHead(first[0], first[1].Split('?', 2)[0], hosts.FirstOrDefault() ?? "");
    }
}
