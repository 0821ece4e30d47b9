using System.Globalization;
using System.Security.Cryptography;

namespace StoragePlugins.Host.Plugins;

/// <summary>
/// Copies of plugins, from which a host that serves loads them: a plugin's folder can then be replaced or removed while its code runs. (The runtime maps
/// assemblies into memory; a file that is overwritten in place would change under running code.)
/// </summary>
/// <remarks>A folder of this process in the temporary folder, mode 0700, removed at the end; what killed hosts left is removed by the next one.
/// Thread-safe.</remarks>
internal sealed class ShadowFolder : IDisposable
{
    /// <summary>A plugin with its libraries has some megabytes; what is larger was not meant to be a plugin.</summary>
    public const long MaxBytes = 1L << 30;

    /// <summary>The same for the number of files.</summary>
    public const int MaxFiles = 4000;

    private const string Prefix = "sphost-plugins-";

    private readonly string _root;
    private int _copies;

    private ShadowFolder(string root) => _root = root;

    /// <summary>Makes the folder, after removing those of processes that are no more.</summary>
    public static ShadowFolder Create()
    {
        string temporary = Path.GetTempPath();
        foreach (string folder in Directory.EnumerateDirectories(temporary, Prefix + "*")) RemoveStale(folder);
        string root = Directory.CreateTempSubdirectory(string.Create(CultureInfo.InvariantCulture, $"{Prefix}{Environment.ProcessId}-")).FullName;
        return new ShadowFolder(root);
    }

    /// <summary>Copies a plugin.</summary>
    /// <param name="manifest">What was found when its metadata was read.</param>
    /// <param name="hasOwnFolder">False when it lies beside other plugins: then sub-folders are theirs.</param>
    /// <returns>The main assembly's path in the copy.</returns>
    /// <exception cref="DiagnosticException">SP1023: it is not what it was when it was examined, cannot be read, or is too large.</exception>
    public string Copy(PluginManifest manifest, bool hasOwnFolder)
    {
        string source = Path.GetDirectoryName(manifest.MainAssembly)!;
        string target = Path.Combine(_root, string.Create(CultureInfo.InvariantCulture, $"{Interlocked.Increment(ref _copies):0000}"));
        string main = Path.Combine(target, Path.GetFileName(manifest.MainAssembly));
        try
        {
            long bytes = 0;
            int files = 0;
            foreach (string file in Directory.EnumerateFiles(source, "*", hasOwnFolder ? SearchOption.AllDirectories : SearchOption.TopDirectoryOnly))
            {
                bytes += new FileInfo(file).Length;
                if (++files > MaxFiles || bytes > MaxBytes) throw Refusal(manifest, $"its folder holds more than {MaxFiles} files or {MaxBytes >> 20} MiB", "move the plugin into a folder of its own");
                string copy = Path.Combine(target, Path.GetRelativePath(source, file));
                Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
                File.Copy(file, copy);
            }

            using FileStream copied = File.OpenRead(main);
            if (Convert.ToHexStringLower(SHA256.HashData(copied)) != manifest.Sha256) throw Refusal(manifest, "it is not the file that was examined any more", "look at what changed, and start again");
            return main;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw Refusal(manifest, $"it cannot be copied: {failure.Message.TrimEnd('.')}", "make its files readable, and room in the temporary folder", failure);
        }
    }

    /// <summary>Removes the copies. What is mapped stays usable until the process ends.</summary>
    public void Dispose() => TryRemove(_root);

    private static DiagnosticException Refusal(PluginManifest manifest, string why, string fix, Exception? inner = null) =>
        new("SP1023", $"plugin {manifest.Name} {manifest.Version} is not loaded: {why}", manifest.MainAssembly, fix: fix, inner: inner);

    private static void RemoveStale(string folder)
    {
        string process = Path.GetFileName(folder)[Prefix.Length..].Split('-')[0];
        if (process.Length > 0 && process.All(char.IsAsciiDigit) && !Directory.Exists($"/proc/{process}")) TryRemove(folder);
    }

    private static void TryRemove(string folder)
    {
        try
        {
            Directory.Delete(folder, recursive: true);
        }
        catch (Exception other) when (other is IOException or UnauthorizedAccessException)
        {
            // Another user's, or gone already.
        }
    }
}
