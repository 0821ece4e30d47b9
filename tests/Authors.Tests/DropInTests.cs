using System.Diagnostics;
using Xunit.Abstractions;

namespace StoragePlugins.Authors.Tests;

/// <summary>An idea's way, outside the repository and with the packages alone: into a host that was running before the project existed.</summary>
[Collection(WorkshopCollection.Name)]
public sealed class DropInTests(Workshop workshop, ITestOutputHelper output)
{
    [Fact]
    public void Plugin_of_a_stranger_is_made_dropped_into_a_running_host_used_and_crash_tested()
    {
        long start = Stopwatch.GetTimestamp();
        string folder = Directory.CreateDirectory(Path.Combine(workshop.Root, "dropin")).FullName, data = Path.Combine(folder, "data"), back = Path.Combine(folder, "back");
        Directory.CreateDirectory(Path.Combine(folder, "plugins"));
        File.WriteAllText(Path.Combine(folder, "host.json"), """{ "pluginDirectories": ["plugins"], "disks": { "first": { "image": "first.qcow2", "size": "64M" } } }""");
        using var host = new ServedDisk(workshop.Shell, folder, "sphost serve --config host.json --watch-plugins --control host.control");

        workshop.Shell.Run(folder, $"dotnet new storage-plugin --kind ordering -n Idea {workshop.Hive}");
        workshop.Shell.Run(folder, "dotnet build Idea/Idea -c Release -o Idea/plugins/Idea");
        // Into place at once.
        workshop.Shell.Run(folder, "mv Idea/plugins/Idea plugins/Idea");
        File.WriteAllText(Path.Combine(folder, "host.json"), """
            {
              "pluginDirectories": ["plugins"],
              "pipelines": { "with-idea": { "format": "qcow2", "journal": "ordered", "ordering": "idea@0.1" } },
              "disks": { "first": { "image": "first.qcow2", "size": "64M" } }
            }
            """);
        Assert.True(SpinWait.SpinUntil(() => workshop.Shell.Run(folder, "sphost disk plugins --control host.control").Contains("ordering idea", StringComparison.Ordinal), TimeSpan.FromSeconds(60)));
        Assert.Contains("idea", workshop.Shell.Run(folder, "sphost plugins list --config host.json"), StringComparison.Ordinal);

        workshop.Shell.Run(folder, "sphost disk add second second.qcow2 -p with-idea --size 64M --control host.control");
        byte[] bytes = new byte[8 << 20];
        new Random(7).NextBytes(bytes);
        File.WriteAllBytes(data, bytes);
        string second = host.Uri.Replace("/first?", "/second?", StringComparison.Ordinal);
        workshop.Shell.Run(folder, $"nbdcopy --flush {data} '{second}'");
        workshop.Shell.Run(folder, "sphost disk switch first -p with-idea --control host.control");
        workshop.Shell.Run(folder, $"nbdcopy '{second}' {back}");
        Assert.Equal(bytes, File.ReadAllBytes(back)[..bytes.Length]);
        host.Stop();
        workshop.Shell.Run(folder, "qemu-img check second.qcow2");

        Assert.Contains(" passed, 0 failed", workshop.Shell.Run(folder, "sphost conformance plugins/Idea --budget 1s"), StringComparison.Ordinal);
        workshop.Shell.Run(folder, "sphost crash-test --config host.json --pipeline with-idea --budget 2s --workers 2");
        // Two minutes are promised for all of it; what a loaded machine takes is only told.
        output.WriteLine($"{Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s from nothing to a crash-tested plugin");
    }
}
