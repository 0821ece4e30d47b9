using StoragePlugins.Host.Evaluation.Children;

namespace StoragePlugins.Host.Evaluation.VirtualMachine;

/// <summary>A kernel module as it is loaded: later releases of Debian have them compressed.</summary>
internal static class ModuleContent
{
    // Of the largest module, decompressed.
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(20);

    /// <summary>Reads and decompresses it.</summary>
    public static byte[] Read(string file)
    {
        string? program = Path.GetExtension(file) switch
        {
            ".xz" => "xz",
            ".zst" => "zstd",
            ".gz" => "gzip",
            _ => null,
        };
        if (program is null) return File.ReadAllBytes(file);
        string plain = Path.GetTempFileName();
        try
        {
            Programs.Run("sh", ["-c", "exec \"$0\" -d -c \"$1\" > \"$2\"", program, file, plain], s_limit, CancellationToken.None);
            return File.ReadAllBytes(plain);
        }
        finally
        {
            File.Delete(plain);
        }
    }
}
