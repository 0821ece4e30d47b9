using System.CommandLine;
using StoragePlugins.FuseBench;

if (args is [MemoryMount.Verb, var directory, var threads]) return MemoryMount.Run(directory, int.Parse(threads, System.Globalization.CultureInfo.InvariantCulture));

Option<string> sphost = new("--sphost") { Description = "The product's program.", DefaultValueFactory = _ => "artifacts/dist/sphost" };
Option<string[]> only = new("--only") { Description = "Contenders by the beginning of their names; all by default.", AllowMultipleArgumentsPerToken = true };
Option<int> rounds = new("--rounds") { Description = "Times that every contender is measured.", DefaultValueFactory = _ => 3 };
Option<int> size = new("--size-mib") { Description = "Size of the file or disk.", DefaultValueFactory = _ => 512 };
Option<string> place = new("--directory") { Description = "Where images are made: in memory, so that the mounts are compared and not devices.", DefaultValueFactory = _ => "/dev/shm" };

RootCommand root = new("Compares mounts under fio: trees with ext4 on a loop device, disks with QEMU's FUSE export. Needs root.") { sphost, only, rounds, size, place };
root.SetAction(arguments =>
{
    string folder = Directory.CreateDirectory(Path.Combine(arguments.GetValue(place)!, $"fusebench-{Environment.ProcessId}")).FullName;
    string[] chosen = arguments.GetValue(only) ?? [];
    IReadOnlyList<Contender> contenders = [.. Contender.All(Path.GetFullPath(arguments.GetValue(sphost)!)).Where(c => chosen.Length == 0 || chosen.Any(name => c.Name.StartsWith(name, StringComparison.Ordinal)))];
    try
    {
        var table = new RateTable();
        for (int round = 1; round <= arguments.GetValue(rounds); round++)
        {
            foreach (Contender contender in contenders)
            {
                Console.Error.WriteLine($"round {round} of {arguments.GetValue(rounds)}: {contender.Name}");
                Measure(contender, folder, arguments.GetValue(size), table);
            }
        }

        table.Write(Console.Out);
        return 0;
    }
    finally
    {
        Directory.Delete(folder, recursive: true);
    }
});
return root.Parse(args).Invoke();

static void Measure(Contender contender, string folder, int mebibytes, RateTable table)
{
    using RunningMount mount = RunningMount.Start(contender, folder, mebibytes);
    foreach (Workload workload in Workload.All)
    {
        // A disk is always there; of a tree each load says whether it begins with a new file.
        if (!contender.IsDisk && workload.IsNewFile) File.Delete(mount.File);
        table.Add(contender, workload, workload.Run(mount.File, mebibytes));
    }
}
