using System.Diagnostics;
using StoragePlugins.CrashKit.Checking;

namespace StoragePlugins.Host.CrashTesting;

/// <summary>qemu-img as the second opinion on a recovered qcow2 image: it checks it, and compares what the disk shows. Two processes a state.</summary>
/// <remarks>Thread-safe: each judgement has files of its own.</remarks>
internal sealed class QemuImgReader(string program, string directory) : IForeignReader
{
    private const int TimeoutMilliseconds = 30_000;
    private long _count;

    /// <summary>The reader, or null where qemu-img is not installed.</summary>
    public static QemuImgReader? Find(string directory) => Comparison.QemuTools.Find().Img is { } program ? new QemuImgReader(program, directory) : null;

    public string? Judge(ReadOnlySpan<byte> image, ReadOnlySpan<byte> disk, bool leaksAllowed)
    {
        string stem = Path.Combine(directory, $"state-{Interlocked.Increment(ref _count)}");
        string imagePath = stem + ".qcow2", diskPath = stem + ".raw";
        try
        {
            File.WriteAllBytes(imagePath, image);
            File.WriteAllBytes(diskPath, disk);
            (int check, string said) = Run("check", "-q", "-f", "qcow2", imagePath);
            if (check is not 0 && !(check == 3 && leaksAllowed)) return $"qemu-img check ends with {check}: {said}";
            (int compare, said) = Run("compare", "-q", "-f", "qcow2", "-F", "raw", imagePath, diskPath);
            return compare == 0 ? null : $"qemu-img compare ends with {compare}: {said}";
        }
        finally
        {
            File.Delete(imagePath);
            File.Delete(diskPath);
        }
    }

    private (int ExitCode, string Said) Run(params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(TimeoutMilliseconds)) process.Kill();
        process.WaitForExit();
        return (process.ExitCode, string.Join(' ', $"{output.Result} {error.Result}".Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)));
    }
}
