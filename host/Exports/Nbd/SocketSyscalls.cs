using System.Runtime.InteropServices;

namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>
/// send(2) and recv(2) on memory without a managed owner, and with MSG_DONTWAIT, which <see cref="System.Net.Sockets.Socket"/> does not offer:
/// a worker must never wait for a client.
/// </summary>
internal static partial class SocketSyscalls
{
    private const int MsgDontWait = 0x40;
    private const int MsgNoSignal = 0x4000;
    private const int Eintr = 4;
    private const int Eagain = 11;

    /// <summary>Returned by <see cref="Send"/> when the socket's buffer is full and it was asked not to wait.</summary>
    public const int WouldBlock = -Eagain;

    /// <summary>Receives what is there, waiting for the first byte.</summary>
    /// <returns>Bytes; 0 at the end of the stream; a negative errno.</returns>
    public static unsafe int Receive(int fd, byte* buffer, int length)
    {
        while (true)
        {
            nint received = RecvNative(fd, buffer, (nuint)length, 0);
            if (received >= 0) return (int)received;
            int error = Marshal.GetLastPInvokeError();
            if (error != Eintr) return -error;
        }
    }

    /// <summary>Sends a part, at least one byte.</summary>
    /// <returns>Bytes; a negative errno, <see cref="WouldBlock"/> among them.</returns>
    public static unsafe int Send(int fd, byte* buffer, int length, bool wait)
    {
        while (true)
        {
            nint sent = SendNative(fd, buffer, (nuint)length, wait ? MsgNoSignal : MsgNoSignal | MsgDontWait);
            if (sent >= 0) return (int)sent;
            int error = Marshal.GetLastPInvokeError();
            if (error != Eintr) return -error;
        }
    }

    [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
    private static unsafe partial nint RecvNative(int fd, byte* buffer, nuint length, int flags);

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    private static unsafe partial nint SendNative(int fd, byte* buffer, nuint length, int flags);
}
