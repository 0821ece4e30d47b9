namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>Bounds of a server: what one client can take and for how long. The defaults are for hostile clients and busy guests alike.</summary>
internal sealed record NbdLimits
{
    /// <summary>Connections at once; further ones are closed at once. Each costs a thread and <see cref="NbdConnection"/>'s buffers.</summary>
    public int MaxConnections { get; init; } = 256;

    /// <summary>Requests of one connection that may be unanswered; then its socket is not read. Guests use up to 128 (virtio queues).</summary>
    public int MaxRequestsPerConnection { get; init; } = 128;

    /// <summary>Threads for requests that may block. Enough to keep a disk's queue busy, few enough to be cheap.</summary>
    public int Workers { get; init; } = 16;

    /// <summary>Bytes of request buffers of all connections together, beyond each one's reserve: eight requests of the largest size.</summary>
    public long MaxBufferBytes { get; init; } = 256L * 1024 * 1024;

    /// <summary>The handshake must be over by then.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A client that neither takes a reply nor sends the rest of a request for so long is dropped, but only when it holds buffers
    /// that another connection waits for: a paused client that harms nobody may stay.</summary>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Options in one handshake. <c>qemu-nbd --list</c> sends three an export.</summary>
    public int MaxOptions { get; init; } = 1024;

    /// <summary>Bytes of one option's data: a name, a few queries.</summary>
    public int MaxOptionBytes { get; init; } = 64 * 1024;

    /// <summary>Metadata context queries in one option; there are two contexts to ask for.</summary>
    public int MaxMetaQueries { get; init; } = 128;
}
