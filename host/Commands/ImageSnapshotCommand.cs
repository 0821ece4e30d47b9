using System.CommandLine;
using System.Text.Json.Nodes;
using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost image snapshot</c>, with qemu-img's letters.</summary>
internal static class ImageSnapshotCommand
{
    /// <summary>Snapshots asked for at once; a qcow2 image has at most 65536.</summary>
    private const int Page = 1000;

    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services)
    {
        Argument<string> image = ImageCommand.ImageArgument();
        Option<string?> pipeline = ImageCommand.PipelineOption();
        var list = new Option<bool>("--list", "-l") { Description = "List the snapshots; what happens when nothing else is asked for." };
        var create = new Option<string?>("--create", "-c") { Description = "Take a snapshot of the disk.", HelpName = "NAME" };
        var apply = new Option<string?>("--apply", "-a") { Description = "Make the disk what the snapshot holds; what it held is lost.", HelpName = "NAME" };
        var delete = new Option<string?>("--delete", "-d") { Description = "Delete a snapshot.", HelpName = "NAME" };
        var command = new Command("snapshot", "List, take, apply or delete an image's internal snapshots.") { image, pipeline, list, create, apply, delete, services.Json, services.Config };
        command.Validators.Add(result =>
        {
            if (new Option[] { list, create, apply, delete }.Count(option => result.GetResult(option) is { Implicit: false }) > 1)
                result.AddError("one of --list, --create, --apply and --delete at a time");
        });
        command.SetAction(commandLine =>
        {
            using HostSession session = services.Start(commandLine);
            string path = ImageInfoCommand.RequireFile(commandLine.GetValue(image)!);
            PipelineDefinition definition = session.Composer.Choose(commandLine.GetValue(pipeline), path);
            (string Name, string Done, Action<ISnapshotImage, string> Operation)? asked =
                commandLine.GetValue(create) is { } created ? (created, "took", static (snapshots, name) => snapshots.CreateSnapshot(name))
                : commandLine.GetValue(apply) is { } applied ? (applied, "applied", static (snapshots, name) => snapshots.ApplySnapshot(name))
                : commandLine.GetValue(delete) is { } deleted ? (deleted, "deleted", static (snapshots, name) => snapshots.DeleteSnapshot(name))
                : null;
            if (asked is not { } what)
            {
                List(session, definition, path, services.Output, commandLine.GetValue(services.Json));
                return ExitCodes.Done;
            }

            ImageCommand.Change(session, definition, path, opened => what.Operation(SnapshotsOf(opened), what.Name));
            services.Output.WriteLine($"{path}: {what.Done} snapshot '{what.Name}'");
            return ExitCodes.Done;
        });
        return command;
    }

    private static ISnapshotImage SnapshotsOf(OpenedImage opened) => opened.Image.GetCapability<ISnapshotImage>()
        ?? throw new DiagnosticException("SP3027", $"images of format '{opened.Pipeline.Format.Id}' have no internal snapshots", opened.Path, fix: "use a qcow2 image");

    private static void List(HostSession session, PipelineDefinition definition, string path, CommandOutput output, bool json)
    {
        using OpenedImage opened = session.Composer.Open(definition, path, readOnly: true);
        _ = SnapshotsOf(opened);
        List<DiskEntry> snapshots = [];
        for (string after = ""; ;)
        {
            IReadOnlyList<DiskEntry> page = opened.Image.ListDisks(after, Page);
            snapshots.AddRange(page);
            if (page.Count < Page) break;
            after = page[^1].Name;
        }

        if (json)
        {
            output.WriteJson(new JsonArray([.. snapshots.Select(snapshot => new JsonObject
            {
                ["name"] = snapshot.Name,
                ["size"] = snapshot.Length,
                ["description"] = snapshot.Description,
            })]));
        }
        else if (snapshots.Count > 0)
        {
            output.WriteTable(["SNAPSHOT", "SIZE", "WHEN"], snapshots.Select(snapshot => (IReadOnlyList<Cell>)[snapshot.Name, Quantities.FormatSize(snapshot.Length), snapshot.Description]));
        }
    }
}
