using System.Diagnostics;
using StoragePlugins.Media;

namespace StoragePlugins.Host.Tests.Media.Mapping;

/// <summary>A file, in memory unless told otherwise, that tests map.</summary>
internal sealed class MappedFile : IDisposable
{
    private readonly DirectoryInfo _folder;

    public MappedFile(long length, string? folder = "/dev/shm")
    {
        _folder = folder is null ? Directory.CreateTempSubdirectory("sp-map-") : Directory.CreateDirectory(System.IO.Path.Combine(folder, "sp-map-" + Guid.NewGuid().ToString("N")));
        Path = System.IO.Path.Combine(_folder.FullName, "memory");
        using (FileStream file = File.Create(Path)) file.SetLength(length);
        Medium = Open(readOnly: false);
    }

    public string Path { get; }

    public StorageMeter Meter { get; } = new();

    public FileMedium Medium { get; }

    public FileMedium Open(bool readOnly) => new(
        File.OpenHandle(Path, FileMode.Open, readOnly ? FileAccess.Read : FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete), "memory", Path, readOnly, Meter);

    public IPersistentMemory Map(PersistenceDomain? domain = null, bool emulated = true, long capacity = 0) =>
        Medium.Map(new MappingRequest { Domain = domain, Emulated = emulated, Capacity = capacity });

    public void CutByAnotherProcess(long length)
    {
        using Process truncate = Process.Start("truncate", ["-s", length.ToString(System.Globalization.CultureInfo.InvariantCulture), Path]);
        truncate.WaitForExit();
        Assert.Equal(0, truncate.ExitCode);
    }

    public void CutInThisProcess(long length)
    {
        using FileStream file = new(Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        file.SetLength(length);
    }

    public void Dispose()
    {
        Medium.Dispose();
        _folder.Delete(recursive: true);
    }
}
