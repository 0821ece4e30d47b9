using System.CommandLine;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost image check</c>, with qemu-img's exit codes.</summary>
internal static class ImageCheckCommand
{
    private const int Corrupt = 2;
    private const int LeaksOnly = 3;

    /// <summary>The format has no checks: qemu-img's code for it.</summary>
    private const int Unsupported = 63;

    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services)
    {
        Argument<string> image = ImageCommand.ImageArgument();
        Option<string?> pipeline = ImageCommand.PipelineOption();
        var repair = new Option<string?>("--repair", "-r") { Description = "Mend: leaks, or all.", HelpName = "WHAT" };
        repair.AcceptOnlyFromAmong("leaks", "all");
        var command = new Command("check", "Check an image's structures: exit 0 clean, 1 not checked, 2 corrupt, 3 leaks only, 63 nothing to check.")
        {
            image, pipeline, repair, services.Json, services.Config,
        };
        command.SetAction(commandLine =>
        {
            using HostSession session = services.Start(commandLine);
            string path = ImageInfoCommand.RequireFile(commandLine.GetValue(image)!);
            RepairMode mode = commandLine.GetValue(repair) switch { "leaks" => RepairMode.Leaks, "all" => RepairMode.All, _ => RepairMode.None };
            PipelineDefinition definition = session.Composer.Choose(commandLine.GetValue(pipeline), path);
            (IBlockFormat format, StrategyContext context) = session.Composer.Format(definition.Format.Id);
            if (format is not ICheckingFormat checking)
            {
                services.Output.WriteLine($"{path}: format {definition.Format.Id} has nothing to check");
                return Unsupported;
            }

            CheckReport report;
            using (IStorageMedium medium = session.Composer.OpenMedium(definition, path, readOnly: mode == RepairMode.None))
            {
                report = checking.Check(medium, mode, context);
                if (mode != RepairMode.None) medium.GetCapability<IFlushableMedium>()?.FlushAll();
            }

            if (commandLine.GetValue(services.Json)) services.Output.WriteJson(report);
            else Write(path, report, services.Output);
            return report.Corruptions > 0 ? Corrupt : report.Leaks > 0 ? LeaksOnly : ExitCodes.Done;
        });
        return command;
    }

    private static void Write(string path, CheckReport report, CommandOutput output)
    {
        foreach (string finding in report.Findings) output.WriteLine(finding);
        if (report.CorruptionsFixed + report.LeaksFixed > 0)
            output.WriteLine($"mended: {report.CorruptionsFixed} errors, {report.LeaksFixed} leaked clusters");
        output.WriteLine((report.Corruptions, report.Leaks) switch
        {
            ( > 0, _) => $"{path}: {report.Corruptions} errors were found; data may be corrupted, do not write to the image before it is repaired",
            (_, > 0) => $"{path}: {report.Leaks} leaked clusters were found; this wastes space and harms no data",
            _ => $"{path}: no errors were found",
        });
        output.WriteLine($"{Quantities.FormatSize(report.AllocatedBytes)} allocated to the guest, image ends at {report.ImageEnd}");
    }
}
