namespace StoragePlugins.Client;

/// <summary>Why an NBD server did not do what it was asked for.</summary>
public enum NbdFailure
{
    /// <summary>The server could not be reached.</summary>
    Unreachable = 0,

    /// <summary>The server is none, or speaks a dialect that is not spoken here. The connection is closed.</summary>
    Protocol,

    /// <summary>The server has no such export, or does not want to serve it.</summary>
    Refused,

    /// <summary>The connection is gone, or the server took too long; what was under way may have been done or not. The connection is closed.</summary>
    Disconnected,

    /// <summary>The server answered the request with an error (<see cref="NbdException.ErrorNumber"/>). The connection goes on.</summary>
    RequestFailed,
}

/// <summary>An NBD server did not do what it was asked for.</summary>
public sealed class NbdException : IOException
{
    /// <summary>Makes one.</summary>
    public NbdException(NbdFailure failure, string server, string reason, int errorNumber = 0, Exception? inner = null)
        : base($"{server}: {reason}.", inner)
    {
        Failure = failure;
        Server = server;
        Reason = reason;
        ErrorNumber = errorNumber;
    }

    /// <summary>The server, as a URI.</summary>
    public string Server { get; }

    /// <summary>What happened, without the server and without a full stop.</summary>
    public string Reason { get; }

    /// <summary>What kind of failure it is.</summary>
    public NbdFailure Failure { get; }

    /// <summary>The protocol's error of a request that failed (1 EPERM, 5 EIO, 12 ENOMEM, 22 EINVAL, 28 ENOSPC, 75 EOVERFLOW, 95 ENOTSUP, 108 ESHUTDOWN); 0 for other failures.</summary>
    public int ErrorNumber { get; }

    internal static string NameOf(uint error) => error switch
    {
        1 => "EPERM",
        5 => "EIO",
        12 => "ENOMEM",
        22 => "EINVAL",
        28 => "ENOSPC",
        75 => "EOVERFLOW",
        95 => "ENOTSUP",
        108 => "ESHUTDOWN",
        _ => "unknown",
    };
}
