using System.CommandLine;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost image create</c>.</summary>
internal static class ImageCreateCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services)
    {
        Argument<string> image = ImageCommand.ImageArgument();
        var size = new Argument<string?>("SIZE") { Description = "Virtual size, such as 10G; with a backing file by default that one's.", Arity = ArgumentArity.ZeroOrOne };
        var format = new Option<string>("--format", "-f") { Description = "qcow2, raw, or another format of a plugin.", DefaultValueFactory = _ => "qcow2", HelpName = "FORMAT" };
        Option<string?> pipeline = ImageCommand.PipelineOption();
        var backing = new Option<string?>("--backing", "-b") { Description = "Backing file; a relative name is relative to the image's folder.", HelpName = "FILE" };
        var backingFormat = new Option<string?>("--backing-format", "-F") { Description = "The backing file's format.", HelpName = "FORMAT" };
        Option<string[]> options = FormatOptions();
        var command = new Command("create", "Make a new image. Never replaces a file.") { image, size, format, pipeline, backing, backingFormat, options, services.Config };
        command.SetAction(commandLine =>
        {
            using HostSession session = services.Start(commandLine);
            string path = commandLine.GetValue(image)!;
            PipelineDefinition definition = PipelineFor(session, commandLine.GetValue(pipeline), commandLine.GetValue(format)!);
            string? backingFile = commandLine.GetValue(backing);
            if (backingFile is null && commandLine.GetResult(backingFormat) is { Implicit: false })
                throw new DiagnosticException("SP3013", "a backing format without a backing file", path, fix: "name it with --backing");
            long bytes = SizeOf(session, commandLine.GetValue(size), path, backingFile, commandLine.GetValue(backingFormat));
            session.Composer.Create(definition, path, new CreateRequest(bytes, backingFile, commandLine.GetValue(backingFormat)), ParseOptions(commandLine.GetValue(options)!));
            services.Output.WriteLine($"made {path}: {Quantities.FormatSize(bytes)}, {definition.Format.Id}");
            return ExitCodes.Done;
        });
        return command;
    }

    /// <summary><c>-o NAME=VALUE</c>.</summary>
    internal static Option<string[]> FormatOptions() =>
        new("--option", "-o") { Description = "An option of the format: name=value, comma-separated or repeated.", HelpName = "NAME=VALUE", DefaultValueFactory = _ => [] };

    /// <summary>The pipeline of this name, or the one for a format.</summary>
    internal static PipelineDefinition PipelineFor(HostSession session, string? name, string format) => name is not null
        ? session.Configuration.Pipeline(name)
        : BuiltInPipelines.ForFormat(format)
            ?? session.Configuration.Defined.FirstOrDefault(p => p.Format.Id == format)
            ?? throw new DiagnosticException("SP2009", $"there is no pipeline for format '{format}'", fix: Spelling(session, format));

    private static string Spelling(HostSession session, string format) =>
        Diagnostics.Spelling.Suggest(format, [.. session.Configuration.Pipelines.Select(p => p.Format.Id).Distinct()]);

    private static long SizeOf(HostSession session, string? text, string path, string? backing, string? backingFormat)
    {
        if (text is not null)
        {
            return Quantities.TryParseSize(text, out long size)
                ? size
                : throw new DiagnosticException("SP3012", "the size makes no sense", path, "a number with a suffix such as 512M or 10G", $"'{text}'");
        }

        if (backing is null) throw new DiagnosticException("SP3012", "a size is missing", path, "SIZE behind the image's name, such as 10G");
        string file = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, backing);
        string id = backingFormat ?? session.Composer.Inspect(file).Format;
        using OpenedImage below = session.Composer.Open(PipelineFor(session, null, id), file, readOnly: true);
        return below.Image.Description.VirtualSize;
    }

    /// <summary>Takes the option's values apart.</summary>
    internal static List<OptionSetting> ParseOptions(string[] texts)
    {
        var settings = new List<OptionSetting>();
        foreach (string text in texts.SelectMany(t => t.Split(',', StringSplitOptions.RemoveEmptyEntries)))
        {
            int equals = text.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0) throw new DiagnosticException("SP3017", "an option of the format makes no sense", "--option", "name=value", $"'{text}'");
            settings.Add(OptionSetting.FromCommandLine(text[..equals], text[(equals + 1)..]));
        }

        return settings;
    }
}
