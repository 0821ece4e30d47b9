namespace StoragePlugins.Host.Telemetry;

/// <summary>The part <c>telemetry</c> of a configuration: how the host is watched. All of it is off where nothing is said.</summary>
internal sealed record TelemetrySettings
{
    /// <summary>Nothing is said.</summary>
    public static TelemetrySettings None { get; } = new();

    /// <summary>Where metrics are sent by OTLP.</summary>
    public string? Otlp { get; init; }

    /// <summary>grpc or http/protobuf.</summary>
    public string? Protocol { get; init; }

    /// <summary>What the host is called there.</summary>
    public string? ServiceName { get; init; }

    /// <summary>Where the dashboard listens.</summary>
    public string? Dashboard { get; init; }
}
