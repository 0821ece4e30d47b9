using System.CommandLine;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Control;
using StoragePlugins.Host.Exports.Nbd;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;
using StoragePlugins.Host.Serving;
using StoragePlugins.Host.Telemetry;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost serve</c>: disks over NBD until SIGTERM or Ctrl-C, then a clean close.</summary>
internal static class ServeCommand
{
    /// <summary>The image that <c>serve</c> without arguments makes and serves.</summary>
    private const string DefaultImage = "disk.qcow2";

    private const long DefaultSize = 10L << 30;

    private static readonly Argument<string?> s_image = new("IMAGE")
    {
        Description = $"The image; {DefaultImage} when none is named and no configuration is given. Made when it is missing and --size or no name is given.",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private static readonly Option<string?> s_pipeline = new("--pipeline", "-p") { Description = "The pipeline; by default the one for the image's format.", HelpName = "NAME" };
    private static readonly Option<string?> s_size = new("--size") { Description = "Make the image with this size when it is missing (10G).", HelpName = "SIZE" };
    private static readonly Option<string?> s_socket = new("--socket", "-k") { Description = "Unix socket to listen on; mode 0600.", HelpName = "PATH" };
    private static readonly Option<string?> s_listen = new("--listen") { Description = "Listen on TCP instead: PORT or HOST:PORT. There is no encryption or login: keep it to loopback or a trusted network.", HelpName = "HOST:PORT" };
    private static readonly Option<string?> s_control = new("--control") { Description = "Unix socket for 'sphost disk'; mode 0600. By default IMAGE.control, or sphost.control of several disks.", HelpName = "PATH" };
    private static readonly Option<bool> s_watch = new("--watch-plugins") { Description = "Take up plugins that appear in the plugin directories while the host runs." };
    private static readonly Option<bool> s_readOnly = new("--read-only", "-r") { Description = "Serve for reading only; nothing is written to the image." };

    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services)
    {
        var command = new Command("serve", "Serve disks to NBD clients until SIGTERM or Ctrl-C.") { s_image, s_pipeline, services.Config, s_size, s_socket, s_listen, s_control, s_watch, s_readOnly };
        Monitoring.AddTo(command);
        command.Validators.Add(result =>
        {
            if (result.GetResult(s_socket) is not null && result.GetResult(s_listen) is not null) result.AddError("--socket and --listen exclude each other.");
        });
        command.SetAction(commandLine => Run(services, commandLine));
        return command;
    }

    private static int Run(HostServices services, ParseResult commandLine)
    {
        using HostSession session = services.Start(commandLine, isServing: true);
        session.RequireValidConfiguration();
        IReadOnlyList<DiskDefinition> definitions = Definitions(session, commandLine);
        EndPoint endPoint = EndPointOf(commandLine, definitions);
        using Monitoring monitoring = Monitoring.Prepare(commandLine, session.Configuration.Telemetry, services.Logger);

        using var stop = new StopRequest();
        using var disks = new ServedDisks(session.Composer, services.Logger);
        foreach (DiskDefinition definition in definitions) _ = disks.Open(definition);
        using var server = new NbdServer(disks.Exports, new NbdLimits(), services.Logger);
        server.Start(endPoint);
        using PluginWatcher? watcher = commandLine.GetValue(s_watch) ? PluginWatcher.Start(session.Catalog, services.Logger) : null;
        using ControlServer? control = StartControl(services, commandLine, definitions, disks, session, server);
        monitoring.Start(() => disks.Served);
        ServeBanner.Write(services.Output, disks, server.EndPoint!, control?.Path, monitoring.Banner);
        long allocatedBefore = GC.GetTotalAllocatedBytes();
        using (StatusLine? status = services.Output.IsTerminal ? StatusLine.Start(disks) : null) stop.Wait();

        long allocated = GC.GetTotalAllocatedBytes() - allocatedBefore;
        int exitCode = Shutdown(services, server, disks);
        ServeSummary.Write(services.Output, disks.Images, allocated);
        return exitCode;
    }

    // A host that cannot be controlled still serves, unless control was asked for.
    private static ControlServer? StartControl(HostServices services, ParseResult commandLine, IReadOnlyList<DiskDefinition> definitions, ServedDisks disks, HostSession session, NbdServer server)
    {
        string? named = commandLine.GetValue(s_control);
        try
        {
            return ControlServer.Start(Path.GetFullPath(named ?? (definitions.Count == 1 ? definitions[0].Image : "sphost") + ControlClient.Suffix), new ServeControl(disks, session, server, services.Logger).Answer, services.Logger);
        }
        catch (DiagnosticException failure) when (named is null)
        {
            services.Logger.LogWarning("{Code}: no control socket: {Reason}", failure.Code, failure.Message);
            return null;
        }
    }

    /// <summary>Drains clients, flushes and closes; a second signal during it ends the process at once, as a crash would.</summary>
    private static int Shutdown(HostServices services, NbdServer server, ServedDisks disks)
    {
        bool drained = server.Stop(ServedDisks.DrainTimeout);
        bool closed = disks.Close();
        services.Output.WriteLine(closed ? "closed cleanly" : "not closed cleanly");
        return drained && closed ? ExitCodes.Done : ExitCodes.Failed;
    }

    private static IReadOnlyList<DiskDefinition> Definitions(HostSession session, ParseResult commandLine)
    {
        string? image = commandLine.GetValue(s_image);
        bool readOnly = commandLine.GetValue(s_readOnly);
        if (image is null && session.Configuration.Disks.Count > 0)
        {
            return [.. session.Configuration.Disks.Select(disk => disk with
            {
                ReadOnly = disk.ReadOnly || readOnly,
                Pipeline = commandLine.GetValue(s_pipeline) ?? disk.Pipeline,
            })];
        }

        long? size = commandLine.GetValue(s_size) is { } text ? ParseSize(text) : image is null ? DefaultSize : null;
        return [new DiskDefinition("", image ?? DefaultImage, commandLine.GetValue(s_pipeline), size, readOnly, "")];
    }

    private static long ParseSize(string text) => Quantities.TryParseSize(text, out long size)
        ? size
        : throw new DiagnosticException("SP4010", "the size makes no sense", "--size", "a number with a suffix such as 512M or 10G", $"'{text}'");

    private static EndPoint EndPointOf(ParseResult commandLine, IReadOnlyList<DiskDefinition> disks)
    {
        if (commandLine.GetValue(s_listen) is { } listen) return ParseListen(listen);
        string path = commandLine.GetValue(s_socket) ?? (disks.Count == 1 ? disks[0].Image + ".sock" : "sphost.sock");
        return NbdListener.UnixSocket(Path.GetFullPath(path));
    }

    /// <summary>"10809", ":10809" and "localhost:10809" mean loopback; any other host is taken as written.</summary>
    private static IPEndPoint ParseListen(string text)
    {
        int colon = text.LastIndexOf(':');
        string host = colon < 0 ? "" : text[..colon].Trim('[', ']');
        IPAddress? address = host is "" or "localhost" ? IPAddress.Loopback : IPAddress.TryParse(host, out IPAddress? parsed) ? parsed : null;
        if (address is null || !ushort.TryParse(text[(colon + 1)..], out ushort port))
            throw new DiagnosticException("SP4011", "the address to listen on makes no sense", "--listen", "PORT or ADDRESS:PORT, such as 127.0.0.1:10809", $"'{text}'");
        return new IPEndPoint(address, port);
    }
}
