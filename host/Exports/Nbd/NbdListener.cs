using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>Opens the listening socket of a server.</summary>
internal static partial class NbdListener
{
    private const int Backlog = 128;

    // sun_path has 108 bytes with the final zero.
    private const int MaxPathBytes = 107;
    private const int OwnerOnly = 0x180; // 0600

    /// <summary>Binds and listens.</summary>
    /// <remarks>
    /// A Unix socket has mode 0600 from its first moment on. A socket file that nobody listens on, left by a
    /// killed server, is replaced; two servers that start at once are kept apart by a lock on the directory. The file is removed when
    /// the socket is disposed.
    /// </remarks>
    /// <exception cref="DiagnosticException">SP4001 somebody listens there; SP4002 the path is no socket; SP4004 the address cannot be used;
    /// SP4005 the directory cannot be used.</exception>
    public static Socket Listen(EndPoint endPoint) => endPoint is UnixDomainSocketEndPoint unix ? ListenUnix(unix.ToString()) : ListenTcp(endPoint);

    /// <summary>The address of a Unix socket.</summary>
    /// <exception cref="DiagnosticException">SP4003: the path is too long for the kernel.</exception>
    public static UnixDomainSocketEndPoint UnixSocket(string path)
    {
        int length = System.Text.Encoding.UTF8.GetByteCount(path);
        if (length is > 0 and <= MaxPathBytes) return new UnixDomainSocketEndPoint(path);
        throw new DiagnosticException("SP4003", "the path cannot name a socket", path, $"1 to {MaxPathBytes} bytes", $"{length}", "use a shorter path, or a relative one");
    }

    private static Socket ListenTcp(EndPoint endPoint)
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
                ? InUse(endPoint.ToString()!, failure)
                : new DiagnosticException("SP4004", "cannot listen", endPoint.ToString(), found: failure.Message, fix: "use an address of this host and a free port", inner: failure);
        }
    }

    private static Socket ListenUnix(string path)
    {
        string directory = Path.GetDirectoryName(Path.GetFullPath(path))!;
        int lockFd = OpenNative(directory, OpenDirectory | OpenCloseOnExec);
        if (lockFd < 0)
            throw new DiagnosticException("SP4005", "the directory of the socket cannot be used", path, found: Marshal.GetLastPInvokeErrorMessage(), fix: $"create '{directory}' or name another place");
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            // Released with the descriptor. Held for milliseconds, so waiting is right.
            FlockNative(lockFd, LockExclusive);
            RemoveStale(path);
            // Linux creates the file with the mode of the socket's own inode.
            FchmodNative((int)socket.Handle, OwnerOnly);
            socket.Bind(new UnixDomainSocketEndPoint(path));
            socket.Listen(Backlog);
            return socket;
        }
        catch (SocketException failure)
        {
            socket.Dispose();
            throw new DiagnosticException("SP4005", "cannot create the socket", path, found: failure.Message, fix: "name a place that you may write to", inner: failure);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
        finally
        {
            CloseNative(lockFd);
        }
    }

    private static void RemoveStale(string path)
    {
        if (!File.Exists(path)) return;
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException refused) when (refused.SocketErrorCode == SocketError.ConnectionRefused && IsSocket(path))
        {
            File.Delete(path);
            return;
        }
        catch (SocketException failure) when (!IsSocket(path))
        {
            throw new DiagnosticException("SP4002", "there is a file of another kind", path, "a socket, or nothing", "something else", "remove it or name another path", failure);
        }

        throw InUse(path, null);
    }

    // A regular file can be opened, a socket cannot: ENXIO, which is an IOException here.
    private static bool IsSocket(string path)
    {
        try
        {
            using var file = File.OpenHandle(path);
            return false;
        }
        catch (IOException)
        {
            return !Directory.Exists(path);
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static DiagnosticException InUse(string where, Exception? inner) =>
        new("SP4001", "another server listens there", where, fix: "stop it, or name another socket or port", inner: inner);

    private const int OpenDirectory = 0x10000;
    private const int OpenCloseOnExec = 0x80000;
    private const int LockExclusive = 2;

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenNative(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fchmod", SetLastError = true)]
    private static partial int FchmodNative(int fd, int mode);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static partial int FlockNative(int fd, int operation);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int CloseNative(int fd);
}
