namespace StoragePlugins.Host.Telemetry;

/// <summary>Where metrics are sent.</summary>
/// <param name="Endpoint">The whole address for HTTP, the server's for gRPC.</param>
/// <param name="IsGrpc">gRPC, or else protobuf over HTTP.</param>
/// <param name="ServiceName">What the host is called there.</param>
internal sealed record OtlpTarget(Uri Endpoint, bool IsGrpc, string ServiceName)
{
    private const string DefaultServiceName = "sphost";

    // What the specification registers for gRPC; 4318 and whatever else is HTTP, the specification's default.
    private const int GrpcPort = 4317;

    private const string MetricsPath = "v1/metrics";

    /// <summary>What the protocol is called.</summary>
    public string Protocol => IsGrpc ? "grpc" : "http/protobuf";

    /// <summary>
    /// Where to send them: as the command line says, or the configuration, or the environment variables of OpenTelemetry (OTEL_EXPORTER_OTLP_ENDPOINT, …_PROTOCOL,
    /// OTEL_SERVICE_NAME, and those for metrics alone).
    /// </summary>
    /// <param name="named">Of the command line.</param>
    /// <param name="settings">Of the configuration.</param>
    /// <param name="environment">A variable's value; null or empty where it is not set.</param>
    /// <returns>Null: nowhere.</returns>
    /// <exception cref="DiagnosticException">SP4243: it is no address, or no protocol.</exception>
    public static OtlpTarget? Choose(string? named, TelemetrySettings settings, Func<string, string?> environment)
    {
        string? Variable(string name) => environment(name) is { Length: > 0 } value ? value : null;
        if (string.Equals(Variable("OTEL_SDK_DISABLED"), "true", StringComparison.OrdinalIgnoreCase)) return null;
        (string? address, string source, bool isWhole) =
            named is not null ? (named, "--otlp", false) :
            settings.Otlp is not null ? (settings.Otlp, "telemetry.otlp", false) :
            Variable("OTEL_METRICS_EXPORTER") is { } exporter && exporter != "otlp" ? (null, "", false) :
            Variable("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") is { } forMetrics ? (forMetrics, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", true) :
            (Variable("OTEL_EXPORTER_OTLP_ENDPOINT"), "OTEL_EXPORTER_OTLP_ENDPOINT", false);
        if (address is null) return null;

        Uri endpoint = Parse(address, source);
        bool isGrpc = IsGrpcNamed(settings.Protocol ?? Variable("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL") ?? Variable("OTEL_EXPORTER_OTLP_PROTOCOL")) ?? endpoint.Port == GrpcPort;
        string service = settings.ServiceName ?? Variable("OTEL_SERVICE_NAME") ?? DefaultServiceName;
        return new OtlpTarget(isGrpc || isWhole ? endpoint : WithMetricsPath(endpoint), isGrpc, service);
    }

    private static Uri Parse(string address, string source) =>
        Uri.TryCreate(address, UriKind.Absolute, out Uri? endpoint) && endpoint.Scheme is "http" or "https" && endpoint.Host.Length > 0
            ? endpoint
            : throw new DiagnosticException("SP4243", "the address to send metrics to makes no sense", source, "http://HOST:PORT or https://HOST:PORT, such as http://localhost:4318", $"'{address}'");

    private static bool? IsGrpcNamed(string? protocol) => protocol switch
    {
        null => null,
        "grpc" => true,
        "http/protobuf" => false,
        _ => throw new DiagnosticException("SP4243", "the protocol to send metrics with is not known", "OTLP", "grpc or http/protobuf", $"'{protocol}'"),
    };

    private static Uri WithMetricsPath(Uri endpoint) =>
        endpoint.AbsolutePath.EndsWith(MetricsPath, StringComparison.Ordinal) ? endpoint : new Uri(endpoint, $"{endpoint.AbsolutePath.TrimEnd('/')}/{MetricsPath}");
}
