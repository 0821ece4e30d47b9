using System.CommandLine;
using System.Text.Json.Nodes;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost image info</c>: opens read-only and describes.</summary>
internal static class ImageInfoCommand
{
    /// <summary>Snapshots and other disks beyond this number are counted on, not listed.</summary>
    private const int MaxDisks = 1000;

    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services)
    {
        Argument<string> image = ImageCommand.ImageArgument();
        Option<string?> pipeline = ImageCommand.PipelineOption();
        var command = new Command("info", "Describe an image. Changes nothing.") { image, pipeline, services.Json, services.Config };
        command.SetAction(commandLine =>
        {
            using HostSession session = services.Start(commandLine);
            string path = commandLine.GetValue(image)!;
            PipelineDefinition definition = session.Composer.Choose(commandLine.GetValue(pipeline), RequireFile(path));
            using OpenedImage opened = session.Composer.Open(definition, path, readOnly: true);
            IReadOnlyList<DiskEntry> disks = opened.Image.ListDisks(null, MaxDisks);
            if (commandLine.GetValue(services.Json)) services.Output.WriteJson(Json(path, opened, disks));
            else Write(path, opened, disks, services.Output);
            return ExitCodes.Done;
        });
        return command;
    }

    /// <summary>A missing image is said so, not taken for one that is to be made.</summary>
    internal static string RequireFile(string path) => File.Exists(path)
        ? path
        : throw new DiagnosticException("SP5001", "there is no such file", path, fix: "check the path, or make it with: sphost image create");

    private static JsonObject Json(string path, OpenedImage opened, IReadOnlyList<DiskEntry> disks)
    {
        ImageDescription description = opened.Image.Description;
        var properties = new JsonObject();
        foreach ((string name, object value) in description.Properties) properties[name] = JsonValue.Create(value);
        return new JsonObject
        {
            ["image"] = path,
            ["format"] = description.Format,
            ["virtualSize"] = description.VirtualSize,
            ["fileSize"] = new FileInfo(path).Length,
            ["properties"] = properties,
            ["snapshots"] = new JsonArray([.. disks.Skip(1).Select(disk => new JsonObject
            {
                ["name"] = disk.Name,
                ["size"] = disk.Length,
                ["description"] = disk.Description,
            })]),
        };
    }

    private static void Write(string path, OpenedImage opened, IReadOnlyList<DiskEntry> disks, CommandOutput output)
    {
        ImageDescription description = opened.Image.Description;
        output.WriteFacts([
            ("image", path),
            ("format", description.Format),
            ("virtual size", $"{Quantities.FormatSize(description.VirtualSize)} ({description.VirtualSize} bytes)"),
            ("file size", $"{new FileInfo(path).Length} bytes"),
            .. description.Properties.Where(p => p.Value is not "").Select(p => (p.Key, p.Value.ToString()!)),
        ]);
        if (disks.Count < 2) return;
        output.WriteLine();
        output.WriteTable(["SNAPSHOT", "SIZE", "WHEN"], disks.Skip(1).Select(disk => (IReadOnlyList<Cell>)[disk.Name, Quantities.FormatSize(disk.Length), disk.Description]));
    }
}
