using System.CommandLine;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost image recover</c>: replays a journal, rebuilds stale refcounts, and closes cleanly; then any tool can read the image.</summary>
internal static class ImageRecoverCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services)
    {
        Argument<string> image = ImageCommand.ImageArgument();
        Option<string?> pipeline = ImageCommand.PipelineOption();
        var command = new Command("recover", "Bring an image that was not closed cleanly into order. Harmless for one that was.") { image, pipeline, services.Config };
        command.SetAction(commandLine =>
        {
            using HostSession session = services.Start(commandLine);
            string path = ImageInfoCommand.RequireFile(commandLine.GetValue(image)!);
            PipelineDefinition definition = session.Composer.Choose(commandLine.GetValue(pipeline), path);
            using (OpenedImage opened = session.Composer.Open(definition, path, readOnly: false)) opened.Close();
            services.Output.WriteLine($"{path}: in order");
            return ExitCodes.Done;
        });
        return command;
    }
}
