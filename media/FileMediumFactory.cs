using System.Composition;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Media;

/// <summary>The medium that every pipeline ends in unless it says otherwise: a file or block device of the host, locked against QEMU and other hosts.</summary>
[Export(typeof(IMediumFactory))]
[Strategy("file", Summary = "a file or block device of the host")]
internal sealed class FileMediumFactory : IMediumFactory
{
    public IStorageMedium Open(MediumRequest request, StrategyContext context)
    {
        string path = Path.GetFullPath(request.Location);
        SafeFileHandle? file = null;
        try
        {
            file = OpenFile(request, path);
            ImageLock.Take(file, request.Location, forWriting: !request.ReadOnly);
            var medium = new FileMedium(file, request.Location, path, request.ReadOnly, context.Meter);
            if (request.Truncate) medium.SetLength(0);
            // A new name is durable before anything relies on it.
            if (request.Create && !request.ReadOnly) UnixFile.FlushDirectory(Path.GetDirectoryName(path)!);
            return medium;
        }
        catch
        {
            file?.Dispose();
            throw;
        }
    }

    private static SafeFileHandle OpenFile(MediumRequest request, string path)
    {
        FileMode mode = request.Create ? (request.Truncate ? FileMode.OpenOrCreate : FileMode.CreateNew) : FileMode.Open;
        try
        {
            return File.OpenHandle(path, mode, request.ReadOnly ? FileAccess.Read : FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new DiagnosticException("SP5001", "there is no such file", request.Location, fix: "check the path, or make it with: sphost image create", inner: e);
        }
        catch (UnauthorizedAccessException e)
        {
            string fix = Directory.Exists(path) ? "it is a folder: name a file" : request.ReadOnly ? "check its permissions" : "check its permissions, or open it with --read-only";
            throw new DiagnosticException("SP5001", "the file cannot be opened", request.Location, found: e.Message, fix: fix, inner: e);
        }
        catch (IOException e)
        {
            throw new DiagnosticException("SP5001", "the file cannot be opened", request.Location, found: e.Message, inner: e);
        }
    }
}
