using System.CommandLine;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost image create|info|check|recover|convert|snapshot|resize</c>.</summary>
internal static class ImageCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services) => new("image", "Make, describe, check, recover, convert and resize images; work with snapshots.")
    {
        ImageCreateCommand.Create(services),
        ImageInfoCommand.Create(services),
        ImageCheckCommand.Create(services),
        ImageRecoverCommand.Create(services),
        ImageConvertCommand.Create(services),
        ImageSnapshotCommand.Create(services),
        ImageResizeCommand.Create(services),
    };

    /// <summary>The image argument of the sub-commands.</summary>
    internal static Argument<string> ImageArgument() => new("IMAGE") { Description = "The image file." };

    /// <summary><c>--pipeline NAME</c> of the sub-commands.</summary>
    internal static Option<string?> PipelineOption() => new("--pipeline", "-p") { Description = "The pipeline; by default the one for the image's format.", HelpName = "NAME" };

    /// <summary>Opens an image, changes it and closes it. A change that was refused leaves a closed image too, not one that has to be recovered.</summary>
    internal static void Change(HostSession session, PipelineDefinition definition, string path, Action<OpenedImage> change)
    {
        using OpenedImage opened = session.Composer.Open(definition, path, readOnly: false);
        try
        {
            change(opened);
        }
        catch (Exception failure) when (failure is DiagnosticException or StorageException)
        {
            CloseAfter(opened);
            throw;
        }

        opened.Image.Close();
    }

    private static void CloseAfter(OpenedImage opened)
    {
        try
        {
            opened.Image.Close();
        }
        catch (StorageException)
        {
            // What made the change fail is what the user has to know; the next opening recovers the image.
        }
    }
}
