using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>
/// Takes metrics as a collector does, over HTTP/1.1 or gRPC (HTTP/2 in plain text), and keeps what came. There is no collector in Debian or the registries that
/// the tests use: the transport here is Kestrel's, the decoding <see cref="OtlpMetrics"/>.
/// </summary>
internal sealed class OtlpCollector : IAsyncDisposable
{
    private const int GrpcPrefixBytes = 5;

    private readonly WebApplication _server;
    private readonly List<OtlpMetrics> _received = [];
    private readonly List<string> _strange = [];

    private OtlpCollector(WebApplication server) => _server = server;

    /// <summary>Where it listens.</summary>
    public string Address => _server.Urls.Single();

    /// <summary>What came, oldest first.</summary>
    public IReadOnlyList<OtlpMetrics> Received
    {
        get { lock (_received) return [.. _received]; }
    }

    /// <summary>Requests that were none of OTLP.</summary>
    public IReadOnlyList<string> Strange
    {
        get { lock (_received) return [.. _strange]; }
    }

    /// <summary>Listens on a free port of loopback.</summary>
    public static async Task<OtlpCollector> StartAsync(bool isGrpc)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = isGrpc ? HttpProtocols.Http2 : HttpProtocols.Http1));
        WebApplication server = builder.Build();
        var collector = new OtlpCollector(server);
        server.Run(isGrpc ? collector.TakeGrpcAsync : collector.TakeHttpAsync);
        await server.StartAsync();
        return collector;
    }

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    private async Task TakeHttpAsync(HttpContext context)
    {
        bool isOtlp = context.Request is { Method: "POST", Path.Value: "/v1/metrics", ContentType: "application/x-protobuf" };
        await KeepAsync(context, isOtlp, prefix: 0);
        context.Response.ContentType = "application/x-protobuf";
        context.Response.StatusCode = isOtlp ? 200 : 404;
    }

    private async Task TakeGrpcAsync(HttpContext context)
    {
        bool isOtlp = context.Request is { Method: "POST", Path.Value: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", ContentType: "application/grpc" };
        await KeepAsync(context, isOtlp, GrpcPrefixBytes);
        context.Response.ContentType = "application/grpc";
        await context.Response.Body.WriteAsync(new byte[GrpcPrefixBytes]); // not compressed, an empty message
        context.Response.AppendTrailer("grpc-status", isOtlp ? "0" : "12");
    }

    private async Task KeepAsync(HttpContext context, bool isOtlp, int prefix)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        lock (_received)
        {
            if (isOtlp) _received.Add(OtlpMetrics.Decode(body.GetBuffer().AsSpan(prefix, (int)body.Length - prefix)));
            else _strange.Add($"{context.Request.Method} {context.Request.Path} {context.Request.ContentType}");
        }
    }
}
