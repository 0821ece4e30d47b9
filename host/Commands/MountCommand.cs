using System.CommandLine;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Control;
using StoragePlugins.Host.Exports.Fuse;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Serving;
using StoragePlugins.Host.Telemetry;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost mount</c>: an image as files, until SIGTERM, Ctrl-C or an unmount, then a clean close.</summary>
internal static class MountCommand
{
    /// <summary>Disks wait for devices, so that more threads than processors are of use; each costs two buffers of 1 MiB where it is used.</summary>
    private const int ThreadsForDisks = 8;

    private static readonly Argument<string> s_image = new("IMAGE") { Description = "The image: a file system's is shown as its files, a disk's as the file 'disk' and its snapshots." };
    private static readonly Argument<string> s_mountPoint = new("MOUNTPOINT") { Description = "An empty directory." };
    private static readonly Option<string?> s_pipeline = new("--pipeline", "-p") { Description = "The pipeline; by default the one for the image's format.", HelpName = "NAME" };
    private static readonly Option<bool> s_readOnly = new("--read-only", "-r") { Description = "Mount for reading only; nothing is written to the image." };
    private static readonly Option<WritebackCache> s_writeback = new("--writeback-cache")
    {
        Description = "Whether written pages may wait in the kernel until fsync: auto (only where a write need not be durable when it returns), on or off.",
        HelpName = "auto|on|off",
    };

    private static readonly Option<string[]> s_options = new("-o")
    {
        Description = "Mount options with commas between: allow_other, nonempty, ro, noexec, fsname=NAME; for root also dev and suid.",
        HelpName = "OPTIONS",
        DefaultValueFactory = _ => [],
    };

    private static readonly Option<string?> s_control = new("--control") { Description = "Unix socket for 'sphost disk stats'; mode 0600. By default none.", HelpName = "PATH" };
    private static readonly Option<int?> s_threads = new("--threads") { Description = "Threads that answer; by default what suits the image.", HelpName = "N" };

    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services)
    {
        var command = new Command("mount", "Mount an image as files until SIGTERM, Ctrl-C or an unmount.") { s_image, s_mountPoint, s_pipeline, services.Config, s_readOnly, s_writeback, s_threads, s_control, s_options };
        Monitoring.AddTo(command);
        command.Validators.Add(result =>
        {
            if (result.GetValue(s_threads) is < 1 or > FuseSessionOptions.MaxThreads) result.AddError($"--threads takes 1 to {FuseSessionOptions.MaxThreads}.");
        });
        command.SetAction(commandLine => Run(services, commandLine));
        return command;
    }

    private static int Run(HostServices services, ParseResult commandLine)
    {
        MountOptions options = MountOptions.Parse(commandLine.GetValue(s_options) ?? []);
        if (commandLine.GetValue(s_readOnly)) options = options with { ReadOnly = true };
        using HostSession host = services.Start(commandLine, isServing: true);
        host.RequireValidConfiguration();
        using Monitoring monitoring = Monitoring.Prepare(commandLine, host.Configuration.Telemetry, services.Logger);

        using var stop = new StopRequest();
        MountPoint point = MountPoint.Prepare(commandLine.GetValue(s_mountPoint)!, options.NonEmpty, services.Logger);
        string path = commandLine.GetValue(s_image)!;
        using var image = new MountedImage(host.Composer.Open(host.Composer.Choose(commandLine.GetValue(s_pipeline), path), path, options.ReadOnly), services.Logger);
        int threads = commandLine.GetValue(s_threads) ?? (image.IsDisk ? ThreadsForDisks : Environment.ProcessorCount);
        using FuseSession session = MountAndStart(image, point, options, new FuseSessionOptions(threads, commandLine.GetValue(s_writeback)), services.Logger);
        IMeteredDisk[] watched = [new WatchedMount(image, session)];
        monitoring.Start(() => watched);
        using ControlServer? control = commandLine.GetValue(s_control) is { } socket ? ControlServer.Start(Path.GetFullPath(socket), (command, _) => Answer(command, watched[0]), services.Logger) : null;
        MountBanner.Write(services.Output, image, point, monitoring.Banner);
        long allocatedBefore = GC.GetTotalAllocatedBytes();
        stop.WaitOr(session.Ended);
        long allocated = GC.GetTotalAllocatedBytes() - allocatedBefore;
        bool clean = MountShutdown.Run(session, image, point, services.Logger);
        services.Output.WriteLine(clean ? "closed cleanly" : "not closed cleanly");
        ServeSummary.Write(services.Output, [image.Image], allocated);
        return clean ? ExitCodes.Done : ExitCodes.Failed;
    }

    private static JsonObject Answer(string command, IMeteredDisk mounted) => command == "stats"
        ? new JsonObject { ["ok"] = true, ["disks"] = new JsonArray(DiskStatistics.Describe(mounted)) }
        : throw new DiagnosticException("SP4025", "the request makes no sense", expected: "stats, of a mounted image", found: $"'{command}'");

    // An image that was opened and then not mounted is closed as cleanly as one that was.
    private static FuseSession MountAndStart(MountedImage image, MountPoint point, MountOptions options, FuseSessionOptions serving, ILogger logger)
    {
        FuseSession? session = null;
        try
        {
            session = new FuseSession(FuseMount.Mount(point, Path.GetFullPath(image.Image.Path), options), image.Tree, serving, logger);
            session.Start();
            return session;
        }
        catch
        {
            if (session is not null) FuseMount.Detach(point.Path);
            session?.Dispose();
            image.TryClose(MountShutdown.Timeout);
            throw;
        }
    }
}
