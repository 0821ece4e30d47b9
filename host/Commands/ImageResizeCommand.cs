using System.CommandLine;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost image resize</c>: as qemu-img, smaller only when told so.</summary>
internal static class ImageResizeCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services)
    {
        Argument<string> image = ImageCommand.ImageArgument();
        var size = new Argument<string>("SIZE") { Description = "The new virtual size, such as 20G; or, with + or -, by how much it changes." };
        Option<string?> pipeline = ImageCommand.PipelineOption();
        var shrink = new Option<bool>("--shrink") { Description = "The disk may become smaller: what lies behind the new end is lost." };
        var command = new Command("resize", "Change an image's virtual size.") { image, size, pipeline, shrink, services.Config };
        command.SetAction(commandLine =>
        {
            using HostSession session = services.Start(commandLine);
            string path = ImageInfoCommand.RequireFile(commandLine.GetValue(image)!);
            PipelineDefinition definition = session.Composer.Choose(commandLine.GetValue(pipeline), path);
            ImageCommand.Change(session, definition, path, opened =>
            {
                IVirtualDisk disk = opened.Image.OpenDisk("");
                IResizableDisk resizable = disk.GetCapability<IResizableDisk>()
                    ?? throw new DiagnosticException("SP3027", $"images of format '{definition.Format.Id}' cannot be resized", path, fix: "convert it to a larger image");
                long before = disk.Length, after = NewSize(commandLine.GetValue(size)!, before, path);
                if (after < before && !commandLine.GetValue(shrink))
                    throw new DiagnosticException("SP3028", "the new size would cut off the end of the disk", path, $"at least {before} bytes", $"{after}",
                        "shrink file system and partitions in the guest first; then say --shrink");
                resizable.Resize(after);
                services.Output.WriteLine($"{path}: {Quantities.FormatSize(after)}, was {Quantities.FormatSize(before)}");
            });
            return ExitCodes.Done;
        });
        return command;
    }

    private static long NewSize(string text, long present, string path)
    {
        char sign = text.Length > 0 && text[0] is '+' or '-' ? text[0] : '=';
        bool isSize = Quantities.TryParseSize(sign == '=' ? text : text[1..], out long amount);
        Int128 size = sign switch { '+' => (Int128)present + amount, '-' => (Int128)present - amount, _ => amount };
        return isSize && size > 0 && size <= long.MaxValue
            ? (long)size
            : throw new DiagnosticException("SP3012", "the size makes no sense", path, "a size above 0 such as 10G, or a difference such as +512M or -1G", $"'{text}'");
    }
}
