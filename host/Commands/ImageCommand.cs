using System.CommandLine;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost image create|info|check|recover</c>.</summary>
internal static class ImageCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services) => new("image", "Make, describe, check and recover images.")
    {
        ImageCreateCommand.Create(services),
        ImageInfoCommand.Create(services),
        ImageCheckCommand.Create(services),
        ImageRecoverCommand.Create(services),
    };

    /// <summary>The image argument of the sub-commands.</summary>
    internal static Argument<string> ImageArgument() => new("IMAGE") { Description = "The image file." };

    /// <summary><c>--pipeline NAME</c> of the sub-commands.</summary>
    internal static Option<string?> PipelineOption() => new("--pipeline", "-p") { Description = "The pipeline; by default the one for the image's format.", HelpName = "NAME" };
}
