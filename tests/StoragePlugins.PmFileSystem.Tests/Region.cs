using System.Text;

namespace StoragePlugins.PmFileSystem.Tests;

/// <summary>A file system in memory for one test: made, opened, checked when it is closed.</summary>
internal sealed class Region : IDisposable
{
    private static readonly string s_folder = Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath();

    public Region(long size = 64L << 20, PmFormatOptions? options = null)
    {
        File = Path.Combine(s_folder, $"sp-pmfs-{Guid.NewGuid():N}");
        PmFileSystem.Format(File, size, options);
        System = PmFileSystem.Open(File, new PmOpenOptions { Emulated = true });
    }

    public string File { get; }

    public PmFileSystem System { get; private set; }

    public IFileTree Tree => System.Tree;

    /// <summary>Closes, has everything checked, opens again.</summary>
    public void Reopen()
    {
        System.Close();
        CheckIsClean();
        System = PmFileSystem.Open(File, new PmOpenOptions { Emulated = true });
    }

    /// <summary>The offline check of the closed image.</summary>
    public CheckReport Check(RepairMode repair = RepairMode.None)
    {
        using IStorageMedium medium = new Media.FileMediumFactory().Open(
            new MediumRequest { Location = File, ReadOnly = repair == RepairMode.None, OpenInner = () => throw new InvalidOperationException() }, Context());
        return new PmFormat().Check(medium, repair, Context());
    }

    public void CheckIsClean()
    {
        CheckReport report = Check();
        Assert.True(report.Corruptions == 0 && report.Leaks == 0, string.Join("\n", report.Findings));
    }

    public void Dispose()
    {
        System.Dispose();
        CheckIsClean();
        DeleteFile();
    }

    public static StrategyContext Context() => new(null, new StorageMeter(), Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);

    public static ReadOnlySpan<byte> Name(string name) => Encoding.UTF8.GetBytes(name);

    private void DeleteFile() => global::System.IO.File.Delete(File);
}
