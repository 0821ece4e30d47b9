using StoragePlugins.Host.Telemetry;

namespace StoragePlugins.Host.Tests.Telemetry;

public sealed class OtlpTargetTests
{
    [Fact]
    public void Nothing_is_sent_where_nobody_asked() => Assert.Null(Choose(null));

    [Theory]
    [InlineData("http://localhost:4318", "http://localhost:4318/v1/metrics", false)]
    [InlineData("http://localhost:4318/", "http://localhost:4318/v1/metrics", false)]
    [InlineData("https://otel.example/base/", "https://otel.example/base/v1/metrics", false)]
    [InlineData("http://localhost:4318/v1/metrics", "http://localhost:4318/v1/metrics", false)]
    [InlineData("http://localhost:4317", "http://localhost:4317/", true)]
    public void Port_says_the_protocol_and_the_path_is_the_specification_s(string named, string endpoint, bool isGrpc)
    {
        OtlpTarget target = Choose(named)!;
        Assert.Equal((endpoint, isGrpc, "sphost"), (target.Endpoint.AbsoluteUri, target.IsGrpc, target.ServiceName));
    }

    [Fact]
    public void Command_line_comes_before_the_configuration_and_that_before_the_environment()
    {
        var settings = new TelemetrySettings { Otlp = "http://configured:4318", ServiceName = "web" };
        (string, string)[] environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://environment:4318"), ("OTEL_SERVICE_NAME", "from-environment")];
        Assert.Equal("named", Choose("http://named:4318", settings, environment)!.Endpoint.Host);
        Assert.Equal(("configured", "web"), (Choose(null, settings, environment)!.Endpoint.Host, Choose(null, settings, environment)!.ServiceName));
        Assert.Equal(("environment", "from-environment"), (Choose(null, null, environment)!.Endpoint.Host, Choose(null, null, environment)!.ServiceName));
    }

    [Fact]
    public void Endpoint_for_metrics_alone_is_taken_as_it_is()
    {
        OtlpTarget target = Choose(null, null, ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://collector:9090/api/v1/otlp/v1/metrics"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://other:4318"))!;
        Assert.Equal("http://collector:9090/api/v1/otlp/v1/metrics", target.Endpoint.AbsoluteUri);
    }

    [Theory]
    [InlineData("OTEL_EXPORTER_OTLP_PROTOCOL")]
    [InlineData("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL")]
    public void Protocol_that_is_named_counts_more_than_the_port(string variable)
    {
        Assert.True(Choose("http://h:4318", null, (variable, "grpc"))!.IsGrpc);
        Assert.False(Choose("http://h:4317", null, (variable, "http/protobuf"))!.IsGrpc);
        Assert.False(Choose("http://h:4317", new TelemetrySettings { Protocol = "http/protobuf" }, (variable, "grpc"))!.IsGrpc);
    }

    [Fact]
    public void Environment_can_switch_it_off()
    {
        Assert.Null(Choose("http://h:4318", null, ("OTEL_SDK_DISABLED", "true")));
        Assert.Null(Choose(null, null, ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4318"), ("OTEL_METRICS_EXPORTER", "none")));
        Assert.NotNull(Choose(null, null, ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4318"), ("OTEL_METRICS_EXPORTER", "otlp")));
    }

    [Theory]
    [InlineData("localhost:4318")]
    [InlineData("ftp://h")]
    [InlineData("")]
    [InlineData("http://")]
    public void What_is_no_address_is_said_so(string named)
    {
        DiagnosticException failure = Assert.Throws<DiagnosticException>(() => Choose(named));
        Assert.Equal(("SP4243", "--otlp"), (failure.Code, failure.Where));
    }

    [Fact]
    public void Protocol_that_is_not_there_is_said_so() =>
        Assert.Equal("SP4243", Assert.Throws<DiagnosticException>(() => Choose("http://h", null, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"))).Code);

    private static OtlpTarget? Choose(string? named, TelemetrySettings? settings = null, params (string Name, string Value)[] environment) =>
        OtlpTarget.Choose(named, settings ?? TelemetrySettings.None, name => environment.FirstOrDefault(pair => pair.Name == name).Value);
}
