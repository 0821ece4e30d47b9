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
        var discard = new Option<bool>("--discard-journal") { Description = "Give up what only the journal holds, where it is lost or cannot be trusted, and mend the rest." };
        var command = new Command("recover", "Bring an image that was not closed cleanly into order. Harmless for one that was.") { image, pipeline, discard, services.Config };
        command.SetAction(commandLine =>
        {
            using HostSession session = services.Start(commandLine);
            string path = ImageInfoCommand.RequireFile(commandLine.GetValue(image)!);
            if (commandLine.GetValue(discard)) return Discard(session, services.Output, commandLine.GetValue(pipeline), path);
            PipelineDefinition definition = session.Composer.Choose(commandLine.GetValue(pipeline), path);
            using (OpenedImage opened = session.Composer.Open(definition, path, readOnly: false)) opened.Close();
            services.Output.WriteLine($"{path}: in order");
            return ExitCodes.Done;
        });
        return command;
    }

    /// <summary>Makes the image plain without its journal, then mends what a check finds, as qemu-img check -r all would.</summary>
    private static int Discard(HostSession session, CommandOutput output, string? pipeline, string path)
    {
        PipelineDefinition definition = session.Composer.Choose(pipeline, path);
        (IBlockFormat format, StrategyContext context) = session.Composer.Format(definition.Format.Id);
        if (format is not (IJournaledFormat journaled and ICheckingFormat checking))
            throw new DiagnosticException("SP3032", $"images of format '{definition.Format.Id}' have no journal to discard", path, fix: "leave --discard-journal out");
        using IStorageMedium medium = session.Composer.OpenMedium(definition, path, readOnly: false);
        journaled.DiscardJournal(medium);
        CheckReport report = checking.Check(medium, RepairMode.All, context);
        medium.GetCapability<IFlushableMedium>()?.FlushAll();
        output.WriteLine($"{path}: journal discarded; {report.CorruptionsFixed} errors and {report.LeaksFixed} leaked clusters mended, {report.Corruptions} errors left");
        return report.Corruptions > 0 ? ExitCodes.Failed : ExitCodes.Done;
    }
}
