namespace StoragePlugins.Qcow2.Tests;

/// <summary>A folder of its own for each test, gone afterwards.</summary>
public abstract class ScratchFolder : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("sp-qcow2-");

    protected string PathOf(string name) => Path.Combine(_folder.FullName, name);

    public void Dispose()
    {
        _folder.Delete(recursive: true);
        GC.SuppressFinalize(this);
    }
}
