using System.CommandLine;
using System.Runtime.InteropServices;
using StoragePlugins;
using StoragePlugins.BarrierOverheadBench;
using StoragePlugins.Host.Commands;
using StoragePlugins.Host.Diagnostics;

if (args is [DiskProcess.Verb, var image, var mountPoint, var file, var pipeline]) return DiskProcess.Run(image, mountPoint, file, pipeline);

Option<bool> quick = new("--quick") { Description = "One set of images and a fifth of the pairs: shows the counts and large differences only." };
Option<string[]> only = new("--only") { Description = "Loads whose names contain one of these.", AllowMultipleArgumentsPerToken = true };
Option<string[]> contenders = new("--contender") { Description = "Contenders of these names.", AllowMultipleArgumentsPerToken = true };
Option<int> sets = new("--sets") { Description = "Times that everything is done on fresh images.", DefaultValueFactory = _ => 8 };
Option<int> pairs = new("--pairs") { Description = "Pieces of each contender and load on each set of images.", DefaultValueFactory = _ => 40 };
Option<int> operations = new("--operations") { Description = "Operations of a piece.", DefaultValueFactory = _ => 40 };
Option<double> slow = new("--slow-ms") { Description = "Simulates a device whose flushes take so much longer; 0: the machine's own.", DefaultValueFactory = _ => 0 };
Option<bool> freshJournal = new("--fresh-journal") { Description = "The guest file system's journal is not written by mkfs: its first lap allocates clusters." };
Option<string> directory = new("--directory") { Description = "Where the images are made.", DefaultValueFactory = _ => Path.GetTempPath() };
Option<string?> json = new("--json") { Description = "A file for the times of all pieces." };

RootCommand root = new("What barriers cost and save in overwrites of a qcow2 disk, in interleaved pairs with bootstrap intervals. Root only.")
{
    quick, only, contenders, sets, pairs, operations, slow, freshJournal, directory, json,
};
root.SetAction(arguments =>
{
    if (!Environment.IsPrivilegedProcess)
    {
        Console.Error.WriteLine("BarrierOverheadBench: the guest file system needs mkfs, losetup and mount: run it as root");
        return 2;
    }

    using var stop = new CancellationTokenSource();
    // The first signal asks; the run ends at the next piece and takes its mounts, devices and files with it.
    void Ask(PosixSignalContext signal)
    {
        signal.Cancel = true;
        stop.Cancel();
    }

    using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Ask);
    using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Ask);
    string folder = Directory.CreateDirectory(Path.Combine(arguments.GetValue(directory)!, $"barrierbench-{Environment.ProcessId}")).FullName;
    try
    {
        TimeSpan? slowFlush = arguments.GetValue(slow) is > 0 and var milliseconds ? TimeSpan.FromMilliseconds(milliseconds) : null;
        string[] names = arguments.GetValue(contenders) ?? [], loads = arguments.GetValue(only) ?? [];
        Contender[] chosen = [.. Contender.All(slowFlush is not null).Where(each => names.Length == 0 || names.Contains(each.Name))];
        string configuration = Path.Combine(folder, "pipelines.json");
        Contender.WriteConfiguration(configuration, chosen, slowFlush);
        using HostSession host = HostSession.Open([], configuration, new ConsoleLogger(Console.Error));
        host.RequireValidConfiguration();
        var bench = new Bench(host, chosen, configuration, folder, arguments.GetValue(freshJournal))
        {
            Sets = arguments.GetValue(quick) ? 1 : arguments.GetValue(sets),
            Pairs = arguments.GetValue(quick) ? Math.Max(4, arguments.GetValue(pairs) / 5) : arguments.GetValue(pairs),
            Operations = arguments.GetValue(operations),
            Regime = slowFlush is null ? "the machine's device" : $"a flush takes {slowFlush.Value.TotalMilliseconds} ms longer",
        };
        foreach (Contender each in chosen) Console.WriteLine($"  {each.Name,-18}{each.Description}");
        bench.Run(load => loads.Length == 0 || loads.Any(part => load.Name.Contains(part, StringComparison.Ordinal)), stop.Token);
        if (arguments.GetValue(json) is { } path) File.WriteAllText(path, Report.ToJson(bench.Figures));
        return 0;
    }
    catch (OperationCanceledException)
    {
        Console.Error.WriteLine("BarrierOverheadBench: interrupted");
        return 130;
    }
    catch (Exception e) when (e is BenchException or DiagnosticException or StorageException)
    {
        Console.Error.WriteLine($"BarrierOverheadBench: {e.Message}");
        return 1;
    }
    finally
    {
        Directory.Delete(folder, recursive: true);
    }
});
return root.Parse(args).Invoke();
