using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json;
using StoragePlugins;
using StoragePlugins.PmFileSystemBench;

Option<string> baseline = new("--baseline") { Description = "The RAM disk under ext4: loop or zram.", DefaultValueFactory = _ => "loop" };
baseline.AcceptOnlyFromAmong("loop", "zram");
Option<bool> quick = new("--quick") { Description = "Eleven cells instead of IOzone's matrix." };
Option<bool> allRecords = new("--all-records") { Description = "Records under 64 KiB for files over 16 MiB too (iozone -z)." };
Option<SyncMode[]> modes = new("--mode")
{
    Description = "None, FSync (iozone -e) or OSync (iozone -o); all three unless named.",
    AllowMultipleArgumentsPerToken = true,
    DefaultValueFactory = _ => Enum.GetValues<SyncMode>(),
};
Option<int> rounds = new("--rounds") { Description = "Times that each cell comes up.", DefaultValueFactory = _ => 3 };
Option<string?> mount = new("--mount") { Description = "Measures a mounted directory (sphost mount) against ext4 instead: 4 KiB O_SYNC records and streaming." };
Option<bool> scale = new("--scale") { Description = "Measures what operations of pmfs cost as it grows instead: files, bytes." };
Option<bool> json = new("--json") { Description = "All rounds of all cells as JSON." };

RootCommand root = new("Compares pmfs, in process, with ext4 in ordered mode on a RAM disk. Root only.") { baseline, quick, allRecords, modes, rounds, mount, scale, json };
root.SetAction(arguments =>
{
    if (!Environment.IsPrivilegedProcess)
    {
        Console.Error.WriteLine("PmFileSystemBench: ext4 on a RAM disk needs mkfs, losetup and mount: run it as root");
        return 2;
    }

    using var stop = new CancellationTokenSource();
    // The first signal asks; the run ends at the next cell, and takes its mount, devices and files with it.
    void Ask(PosixSignalContext signal)
    {
        signal.Cancel = true;
        stop.Cancel();
    }

    using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Ask);
    using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Ask);
    using PosixSignalRegistration hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, Ask);
    try
    {
        using var scratch = new Scratch();
        if (arguments.GetValue(mount) is { } directory)
        {
            new MountComparison(arguments.GetValue(baseline)!, directory, arguments.GetValue(rounds)).Run(scratch, arguments.GetValue(json), Console.Error.WriteLine, stop.Token);
            return 0;
        }

        if (arguments.GetValue(scale))
        {
            ScaleReport grown = new ScaleRun(new PmFileSystemScale(), scratch, Console.Error.WriteLine, stop.Token).Run();
            if (arguments.GetValue(json)) Console.WriteLine(grown.ToJson());
            else grown.WriteText(Console.Out);
            return 0;
        }

        var comparison = new MatrixComparison(
            arguments.GetValue(baseline)!, arguments.GetValue(quick) ? Matrix.Quick : Matrix.IOzone(arguments.GetValue(allRecords)), arguments.GetValue(modes)!, arguments.GetValue(rounds));
        MatrixReport report = comparison.Run(scratch, Console.Error.WriteLine, stop.Token);
        if (arguments.GetValue(json)) Console.WriteLine(report.ToJson().ToJsonString(new JsonSerializerOptions { WriteIndented = true }));
        else report.WriteText(Console.Out);
        return 0;
    }
    catch (OperationCanceledException)
    {
        Console.Error.WriteLine("PmFileSystemBench: stopped");
        return 130;
    }
    catch (Exception e) when (e is BenchException or IOException or DiagnosticException)
    {
        Console.Error.WriteLine($"PmFileSystemBench: {e.Message}");
        return 1;
    }
});
return root.Parse(args).Invoke();
