using System.CommandLine;
using StoragePlugins.ServerBench;

if (args is [BareServer.Verb, var servedImage, var servedSocket, var mode]) return BareServer.Run(servedImage, servedSocket, mode == "inline");

Option<string?> sphost = new("--sphost") { Description = "The product's program (artifacts/dist/sphost); without it only the bare server runs." };
Option<string> pipeline = new("--qcow2-pipeline") { Description = "The pipeline for qcow2 images.", DefaultValueFactory = _ => "qcow2-ordered" };
Option<string[]> formats = new("--format") { Description = "raw, qcow2 or both.", DefaultValueFactory = _ => ["raw"], AllowMultipleArgumentsPerToken = true };
Option<string[]> only = new("--only") { Description = "Servers: bare, bare-workers, sphost, qemu-nbd, nbdkit-file.", AllowMultipleArgumentsPerToken = true };
Option<int> rounds = new("--rounds") { Description = "Times that every server is measured.", DefaultValueFactory = _ => 3 };
Option<int> seconds = new("--seconds") { Description = "Length of one measurement.", DefaultValueFactory = _ => 3 };
Option<int> size = new("--size-mib") { Description = "Size of the image.", DefaultValueFactory = _ => 1024 };
Option<string> directory = new("--directory") { Description = "Where images and sockets are made.", DefaultValueFactory = _ => Path.GetTempPath() };
Option<bool> json = new("--json") { Description = "Figures of all rounds as JSON." };

RootCommand root = new("Compares NBD servers on one image in page cache, under fio.") { sphost, pipeline, formats, only, rounds, seconds, size, directory, json };
root.SetAction(arguments =>
{
    string[] chosen = arguments.GetValue(only) ?? [];
    var servers = new Dictionary<string, IReadOnlyList<ServerKind>>();
    foreach (string format in arguments.GetValue(formats)!)
    {
        List<ServerKind> kinds = [ServerKind.QemuNbd];
        if (format == "raw") kinds.AddRange(ServerKind.NbdkitFile, ServerKind.Bare(nonBlocking: true), ServerKind.Bare(nonBlocking: false));
        if (arguments.GetValue(sphost) is { } program) kinds.Add(ServerKind.Sphost(program, arguments.GetValue(pipeline)!));
        servers[format] = [.. kinds.Where(kind => chosen.Length == 0 || chosen.Contains(kind.Name))];
    }

    string folder = Directory.CreateDirectory(Path.Combine(arguments.GetValue(directory)!, $"serverbench-{Environment.ProcessId}")).FullName;
    try
    {
        var comparison = new Comparison(servers, arguments.GetValue(rounds), TimeSpan.FromSeconds(arguments.GetValue(seconds)), folder, Console.Error.WriteLine);
        Report report = comparison.Run((long)arguments.GetValue(size) << 20);
        if (arguments.GetValue(json)) report.WriteJson(Console.Out);
        else report.WriteText(Console.Out);
        return 0;
    }
    finally
    {
        Directory.Delete(folder, recursive: true);
    }
});
return root.Parse(args).Invoke();
