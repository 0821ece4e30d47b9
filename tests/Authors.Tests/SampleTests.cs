namespace StoragePlugins.Authors.Tests;

/// <summary>The samples, copied away from the repository and restored from the packed packages alone, by the commands of their README.</summary>
[Collection(WorkshopCollection.Name)]
public sealed class SampleTests(Workshop workshop)
{
    [Fact]
    public void Samples_build_conform_survive_power_cuts_and_serve_by_the_commands_of_their_README()
    {
        IReadOnlyList<string> commands = CommandBlock.After(File.ReadAllText(Path.Combine(workshop.Samples, "README.md")), "In the repository:");
        Assert.Equal(["dotnet pack -c Release", "cd samples"], commands.Take(2));
        string said = string.Concat(commands.Skip(2).Select(command => workshop.Shell.Run(workshop.Samples, CommandBlock.Hastened(command))));
        Assert.Equal(3, said.Split("Passed!").Length - 1);
        Assert.Contains("made disk.box", said, StringComparison.Ordinal);
        Assert.Contains(workshop.PackagesVersion, File.ReadAllText(Path.Combine(workshop.Samples, "DsyncOrdering", "obj", "project.assets.json")), StringComparison.Ordinal);

        // The conformance run of each is in its test project, which the first command ran; here the compositions.
        foreach (string pipeline in (string[])["qcow2-dsync", "container"]) workshop.Shell.Run(workshop.Samples, $"sphost crash-test --config samples.json --pipeline {pipeline} --budget 1s --workers 2");
        RoundTrip.Through(workshop.Shell, workshop.Samples, "sphost serve disk.box --config samples.json --pipeline container");
        RoundTrip.Through(workshop.Shell, workshop.Samples, "sphost serve dsync.qcow2 --size 64M --config samples.json --pipeline qcow2-dsync");
        RoundTrip.Through(workshop.Shell, workshop.Samples, "sphost serve sidecar.qcow2 --size 64M --config samples.json --pipeline qcow2-sidecar");
        // A clean close leaves plain qcow2 and no log.
        workshop.Shell.Run(workshop.Samples, "qemu-img check sidecar.qcow2");
        Assert.False(File.Exists(Path.Combine(workshop.Samples, "sidecar.qcow2.journal")));
    }
}
