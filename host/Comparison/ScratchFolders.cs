namespace StoragePlugins.Host.Comparison;

/// <summary>Folders for a comparison's images and sockets; gone with everything in them at the end.</summary>
internal sealed class ScratchFolders : IDisposable
{
    private const string Prefix = "sphost-compare-";

    private ScratchFolders(string images, string sockets, string? pm)
    {
        Images = images;
        Sockets = sockets;
        Pm = pm;
    }

    /// <summary>For images.</summary>
    public string Images { get; }

    /// <summary>For sockets, whose paths must be short: always among the temporary files, mode 0700.</summary>
    public string Sockets { get; }

    /// <summary>In persistent memory, or in memory that stands in for it; null when there is none.</summary>
    public string? Pm { get; }

    /// <summary>Makes them.</summary>
    /// <param name="directory">Where the images go; null for the folder of temporary files.</param>
    /// <param name="pmDirectory">Where persistent memory is; null when there is none.</param>
    /// <exception cref="DiagnosticException">SP4103: nothing can be made there.</exception>
    public static ScratchFolders Create(string? directory, string? pmDirectory)
    {
        string parent = Path.GetFullPath(directory ?? Path.GetTempPath());
        string name = $"{Prefix}{Environment.ProcessId}-{Guid.NewGuid().ToString("N")[..8]}";
        string images = Path.Combine(parent, name);
        string? pm = pmDirectory is null ? null : Path.Combine(Path.GetFullPath(pmDirectory), name);
        try
        {
            if (!Directory.Exists(parent)) throw new DirectoryNotFoundException("there is no such folder");
            Directory.CreateDirectory(images);
            if (pm is not null && pm != images) Directory.CreateDirectory(pm);
            return new ScratchFolders(images, Directory.CreateTempSubdirectory("sp-cmp-").FullName, pm);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new DiagnosticException("SP4103", "scratch images cannot be made there", parent, found: failure.Message.TrimEnd('.'), fix: "name another folder with --directory", inner: failure);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Directory.Delete(Images, recursive: true);
        Directory.Delete(Sockets, recursive: true);
        if (Pm is not null && Directory.Exists(Pm)) Directory.Delete(Pm, recursive: true);
    }
}
