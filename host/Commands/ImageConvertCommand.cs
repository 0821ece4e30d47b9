using System.CommandLine;
using System.Runtime.InteropServices;
using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost image convert</c>: copies a disk into a new image of another format.</summary>
internal static class ImageConvertCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services)
    {
        var source = new Argument<string>("SRC") { Description = "The image to be copied; its backing files are read, not named in the copy." };
        var target = new Argument<string>("DST") { Description = "The new image." };
        var from = new Option<string?>("--format", "-f") { Description = "The source's format; by default what it looks like.", HelpName = "FORMAT" };
        var to = new Option<string>("--output-format", "-O") { Description = "The new image's format: qcow2, raw, or another one of a plugin.", HelpName = "FORMAT", Required = true };
        var snapshot = new Option<string>("--snapshot", "-l") { Description = "Copy this snapshot instead of the live disk.", HelpName = "NAME", DefaultValueFactory = _ => "" };
        var options = ImageCreateCommand.FormatOptions();
        var command = new Command("convert", "Copy a disk into a new image, without its zeros. Never replaces a file.") { source, target, from, to, snapshot, options, services.Config };
        command.SetAction(commandLine =>
        {
            using HostSession session = services.Start(commandLine);
            string sourcePath = ImageInfoCommand.RequireFile(commandLine.GetValue(source)!), targetPath = commandLine.GetValue(target)!;
            PipelineDefinition reading = commandLine.GetValue(from) is { } format ? ImageCreateCommand.PipelineFor(session, null, format) : session.Composer.Choose(null, sourcePath);
            PipelineDefinition writing = WritingPipeline(session, commandLine.GetValue(to)!);
            using var stop = new CancellationTokenSource();
            using PosixSignalRegistration interrupt = OnSignal(PosixSignal.SIGINT, stop), terminate = OnSignal(PosixSignal.SIGTERM, stop);
            using OpenedImage opened = session.Composer.Open(reading, sourcePath, readOnly: true);
            IVirtualDisk disk = opened.Image.OpenDisk(commandLine.GetValue(snapshot)!);
            session.Composer.Create(writing, targetPath, new CreateRequest(disk.Length), ImageCreateCommand.ParseOptions(commandLine.GetValue(options)!));
            try
            {
                Fill(session, writing, targetPath, disk, services.Output, stop.Token);
            }
            catch
            {
                File.Delete(targetPath);
                throw;
            }

            services.Output.WriteLine($"made {targetPath}: {Quantities.FormatSize(disk.Length)}, {writing.Format.Id}");
            return ExitCodes.Done;
        });
        return command;
    }

    /// <summary>A new image that nobody else sees needs no journal while it is filled: what fails is deleted.</summary>
    private static PipelineDefinition WritingPipeline(HostSession session, string format) =>
        BuiltInPipelines.WithoutJournal(format) ?? ImageCreateCommand.PipelineFor(session, null, format);

    private static void Fill(HostSession session, PipelineDefinition writing, string path, IVirtualDisk source, CommandOutput output, CancellationToken stop)
    {
        using OpenedImage made = session.Composer.Open(writing, path, readOnly: false);
        var copy = new DiskCopy(source, made.Image.OpenDisk(""));
        int shown = -1;
        copy.Run(done =>
        {
            stop.ThrowIfCancellationRequested();
            int percent = source.Length == 0 ? 100 : (int)(100.0 * done / source.Length);
            if (percent != shown) output.WriteProgress($"{shown = percent} %");
        });
        output.WriteProgress("");
        made.Close();
    }

    private static PosixSignalRegistration OnSignal(PosixSignal signal, CancellationTokenSource stop) =>
        PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            stop.Cancel();
        });
}
