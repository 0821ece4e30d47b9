using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;

namespace StoragePlugins.Host.Control;

/// <summary>
/// What a running host is asked over its control socket: one line of JSON each way, then the connection ends. A request is
/// <c>{"command": "list" | "stats" | "plugins" | "switch" | "add", "disk": …, "pipeline": …, "image": …, "size": …, "readOnly": …}</c>; a reply has <c>"ok"</c>, and on failure the parts of a diagnostic.
/// </summary>
internal static class ControlProtocol
{
    /// <summary>The longest line: a list of some thousand disks.</summary>
    public const int MaxLineBytes = 4 << 20;

    /// <summary>Who connects and then says nothing is left.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>Reads one line.</summary>
    /// <exception cref="IOException">It does not come in time, is too long, or ends early.</exception>
    public static string ReadLine(Socket socket, TimeSpan timeout)
    {
        socket.ReceiveTimeout = (int)timeout.TotalMilliseconds;
        using var line = new MemoryStream();
        byte[] part = new byte[4096];
        while (true)
        {
            int got = Receive(socket, part);
            if (got == 0) throw new IOException("the other side ended the connection");
            int end = part.AsSpan(0, got).IndexOf((byte)'\n');
            line.Write(part, 0, end < 0 ? got : end);
            if (line.Length > MaxLineBytes) throw new IOException($"a line of more than {MaxLineBytes} bytes");
            if (end >= 0) return Encoding.UTF8.GetString(line.GetBuffer(), 0, (int)line.Length);
        }
    }

    /// <summary>Writes one line.</summary>
    /// <exception cref="IOException">The other side does not take it.</exception>
    public static void WriteLine(Socket socket, JsonObject message)
    {
        socket.SendTimeout = (int)Patience.TotalMilliseconds;
        byte[] bytes = Encoding.UTF8.GetBytes(message.ToJsonString() + "\n");
        try
        {
            for (int sent = 0; sent < bytes.Length;) sent += socket.Send(bytes.AsSpan(sent), SocketFlags.None);
        }
        catch (SocketException failure)
        {
            throw new IOException(failure.Message, failure);
        }
    }

    private static int Receive(Socket socket, byte[] part)
    {
        try
        {
            return socket.Receive(part);
        }
        catch (SocketException failure)
        {
            throw new IOException(failure.Message, failure);
        }
    }
}
