using System.Text.Json.Nodes;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>A plugin is dropped into a running host.</summary>
public sealed class PluginDropInTests : Scratch
{
    [Fact]
    public void Plugin_that_is_dropped_into_a_running_host_serves_new_disks_and_takes_over_live_ones()
    {
        string plugins = Directory.CreateDirectory(PathOf("plugins")).FullName, config = PathOf("sphost.json");
        File.WriteAllText(config, """{ "disks": { "vm": { "image": "vm.qcow2", "size": "64M" } } }""");
        using SphostProcess sphost = SphostProcess.Serve(Folder, "--config", config, "--plugins", plugins, "--watch-plugins", "--control", PathOf("host.control"));
        string uri = sphost.Uri("vm");
        Qemu.Io("raw", uri, "write -P 1 0 1M", "flush");
        Assert.DoesNotContain("toy-order", Disk("plugins"), StringComparison.Ordinal);

        Drop("Toy", plugins);
        Eventually(() => Disk("plugins").Contains("toy-order", StringComparison.Ordinal), "the plugin is listed");
        File.WriteAllText(config, """
            {
              "pipelines": {
                "mine": { "format": "qcow2", "journal": "ordered", "ordering": "toy-order" },
                "pinned": { "format": "qcow2", "journal": "ordered", "ordering": "toy-order@[1.0.0]" }
              },
              "disks": { "vm": { "image": "vm.qcow2", "size": "64M" } }
            }
            """);
        Assert.Contains("qcow2-journal → mine", Disk("switch", "vm", "-p", "mine"), StringComparison.Ordinal);
        Qemu.Io("raw", uri, "read -P 1 0 1M", "write -P 2 1M 1M", "flush");
        Disk("add", "second", PathOf("second.qcow2"), "-p", "mine", "--size", "32M");
        string second = uri.Replace("/vm?", "/second?", StringComparison.Ordinal);
        byte[] data = new byte[4 << 20];
        new Random(5).NextBytes(data);
        File.WriteAllBytes(PathOf("data"), data);
        Tool.Succeed("nbdcopy", PathOf("data"), second);
        Tool.Succeed("nbdcopy", second, PathOf("back"));
        Assert.Equal(data, File.ReadAllBytes(PathOf("back"))[..data.Length]);

        // A higher version beside it: the plain id means that one, the range the old one; nothing that runs is disturbed.
        Drop("ToyNewer", plugins);
        Eventually(() => Disk("plugins").Contains("1.10.0-beta.1", StringComparison.Ordinal), "the newer version is listed");
        Disk("switch", "second", "-p", "pinned");
        // Broken, removed: the disks go on.
        File.WriteAllText(Path.Combine(Directory.CreateDirectory(Path.Combine(plugins, "broken")).FullName, "broken.dll"), "no assembly");
        Eventually(() => sphost.Errors.Contains("SP1002", StringComparison.Ordinal), "the broken one is told");
        Directory.Delete(Path.Combine(plugins, "Toy"), recursive: true);
        Eventually(() => sphost.Errors.Contains("plugin Toy 1.0.0 is gone", StringComparison.Ordinal), "the removal is told");
        Qemu.Io("raw", uri, "read -P 2 1M 1M", "write -P 3 2M 1M", "flush");
        Qemu.Io("raw", second, "write -P 4 8M 1M", "flush", "read -P 4 8M 1M");
        Assert.Contains("SP2014", Tool.Sphost("disk", "add", "third", PathOf("third.qcow2"), "-p", "pinned", "--size", "1M", "--control", PathOf("host.control")).Expect(1).Errors, StringComparison.Ordinal);
        sphost.Close();
        Qemu.RequireClean(PathOf("vm.qcow2"));
        Qemu.RequireClean(PathOf("second.qcow2"));
        Assert.Empty(Directory.EnumerateDirectories(Path.GetTempPath(), $"sphost-plugins-{sphost.Id}-*"));

        string Disk(params string[] arguments) => Tool.Sphost(["disk", .. arguments, "--control", PathOf("host.control")]).Expect(0).Output;
    }

    // As a user would: copied beside, then moved into place at once.
    private void Drop(string fixture, string plugins)
    {
        string copy = Directory.CreateDirectory(PathOf($"copy-{fixture}")).FullName;
        foreach (string file in Directory.EnumerateFiles(Path.Combine(SphostProcess.Metadata("FixturesDir"), fixture)))
        {
            string target = Path.Combine(copy, Path.GetFileName(file));
            File.Copy(file, target);
            File.SetLastWriteTimeUtc(target, DateTime.UtcNow.AddMinutes(-1));
        }

        Directory.Move(copy, Path.Combine(plugins, fixture));
    }

    private static void Eventually(Func<bool> condition, string what) => Assert.True(SpinWait.SpinUntil(condition, TimeSpan.FromSeconds(60)), what);
}
