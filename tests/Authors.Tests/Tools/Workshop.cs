namespace StoragePlugins.Authors.Tests;

/// <summary>
/// A place outside the repository where only packages are known of it: packed once a run under a version of their own, the template installed from its package,
/// the samples copied. Restores use a package folder of their own that falls back on the machine's, so nothing is fetched that the machine has, and nothing is left in it.
/// </summary>
public sealed class Workshop : IDisposable
{
    private static readonly string[] s_packed = ["contracts", "client/StoragePlugins.Client", "conformance/StoragePlugins.CrashKit", "conformance/StoragePlugins.Conformance", "templates/StoragePlugins.Templates"];

    // Short: sockets live in it.
    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("spa-");

    /// <summary>Packs, installs, copies.</summary>
    public Workshop()
    {
        // No package folder of the machine can have it.
        PackagesVersion = $"{Build.Version}-test.{DateTime.UtcNow.Ticks}";
        Shell plain = new(new Dictionary<string, string>());
        string machinePackages = plain.Run(Root, "dotnet nuget locals global-packages --list").Split(':', 2)[1].Trim();
        Shell = new Shell(new Dictionary<string, string>
        {
            ["NUGET_PACKAGES"] = Path.Combine(Root, "nuget"),
            ["NUGET_FALLBACK_PACKAGES"] = machinePackages,
            ["StoragePluginsVersion"] = PackagesVersion,
        });
        foreach (string project in s_packed)
            plain.Run(Build.Repository, $"dotnet pack {project} --no-build -c {Build.Configuration} -p:PackageVersion={PackagesVersion} -o {Packages} -v q");
        // Beside the machine's own sources, as an author would name a folder of packages.
        File.WriteAllText(Path.Combine(Root, "nuget.config"), $"<configuration><packageSources><add key=\"packed\" value=\"{Packages}\" /></packageSources></configuration>");
        Shell.Run(Root, $"dotnet new install {Path.Combine(Packages, $"StoragePlugins.Templates.{PackagesVersion}.nupkg")} {Hive}");
        foreach (string file in Tracked("samples")) Copy(file);
    }

    /// <summary>The folder of all.</summary>
    public string Root => _root.FullName;

    /// <summary>Where the packages are: beside the copied samples as in the repository.</summary>
    public string Packages => Path.Combine(Root, "artifacts", "packages");

    /// <summary>The copied samples.</summary>
    public string Samples => Path.Combine(Root, "samples");

    /// <summary>The version that the packages have.</summary>
    public string PackagesVersion { get; }

    /// <summary>Keeps templates away from the user's own.</summary>
    public string Hive => $"--debug:custom-hive {Path.Combine(Root, "hive")}";

    internal Shell Shell { get; }

    /// <summary>A package's file.</summary>
    public string Package(string id) => Path.Combine(Packages, $"{id}.{PackagesVersion}.nupkg");

    public void Dispose() => _root.Delete(recursive: true);

    // What is committed or about to be: no bin, no obj.
    private static string[] Tracked(string folder) => new Shell(new Dictionary<string, string>())
        .Run(Build.Repository, $"git ls-files --cached --others --exclude-standard -- {folder}").Split('\n', StringSplitOptions.RemoveEmptyEntries);

    private void Copy(string file)
    {
        string target = Path.Combine(Root, file);
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        File.Copy(Path.Combine(Build.Repository, file), target);
    }
}

/// <summary>One workshop for all tests of authors' ways.</summary>
[CollectionDefinition(Name)]
public sealed class WorkshopCollection : ICollectionFixture<Workshop>
{
    public const string Name = "workshop";
}
