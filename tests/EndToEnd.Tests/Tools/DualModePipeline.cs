namespace StoragePlugins.EndToEnd.Tests;

/// <summary>The journal with dual mode on: by itself it is off on a device that does not seek, and then no small write is in a record.</summary>
public static class DualModePipeline
{
    public const string Name = "rides";

    /// <summary>Arguments that serve a disk with it.</summary>
    /// <param name="folder">Where the configuration is written.</param>
    public static string[] Arguments(string folder)
    {
        string file = Path.Combine(folder, $"{Name}.json");
        File.WriteAllText(file, $$"""{ "pipelines": { "{{Name}}": { "format": "qcow2", "journal": { "id": "internal", "dualMode": "on" }, "ordering": "fdatasync" } } }""");
        return ["--config", file, "--pipeline", Name];
    }
}
