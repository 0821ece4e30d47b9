namespace StoragePlugins.EndToEnd.Tests;

/// <summary>A test class with a folder of its own, gone afterwards. Its name is short: sockets live in it.</summary>
public abstract class Scratch : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("sp-e2e-");

    /// <summary>The folder.</summary>
    protected string Folder => _folder.FullName;

    /// <summary>Whether full-length runs were asked for.</summary>
    protected static bool IsLong => Environment.GetEnvironmentVariable("STORAGEPLUGINS_LONG") == "1";

    /// <summary>A path in the folder.</summary>
    protected string PathOf(string name) => Path.Combine(_folder.FullName, name);

    public virtual void Dispose()
    {
        _folder.Delete(recursive: true);
        GC.SuppressFinalize(this);
    }
}
