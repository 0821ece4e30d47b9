namespace StoragePlugins.Client;

/// <summary>How a connection is made.</summary>
public sealed record NbdConnectOptions
{
    /// <summary>How long the server may leave a connection attempt, a request or any part of one without progress. Far above a flush of a device that works.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Whether guest barriers are asked for. Servers that do not know them say so and go on.</summary>
    public bool AskForBarriers { get; init; } = true;

    /// <summary>Requests of more bytes than this are sent as several; at most what every server takes, 32 MiB.</summary>
    public int MaxRequestBytes { get; init; } = NbdDisk.MaxPayloadBytes;
}
