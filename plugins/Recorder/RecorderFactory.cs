using System.Composition;
using Microsoft.Extensions.Logging;
using StoragePlugins.CrashKit.TraceFiles;

namespace StoragePlugins.Recorder;

/// <summary>Logs all that is written to any medium: <c>"medium": ["record", "file"]</c>.</summary>
[Export(typeof(IMediumFactory))]
[Strategy("record", Summary = "logs every write, flush and discard in the dm-log-writes format", Options = typeof(RecorderOptions))]
public sealed class RecorderFactory : IMediumFactory
{
    /// <inheritdoc/>
    /// <remarks>What is opened for reading only is not recorded. Each opening for writing begins a new log.</remarks>
    public IStorageMedium Open(MediumRequest request, StrategyContext context)
    {
        IStorageMedium inner = request.OpenInner();
        if (request.ReadOnly) return inner;
        FileStream? file = null;
        try
        {
            RecorderOptions options = context.Options<RecorderOptions>();
            string path = options.Log.Length > 0 ? options.Log : request.Location + ".dmlog";
            file = LogFile.Create(path, request.Location);
            var log = new DmLogWritesWriter(file, path, inner.Read, inner.Length, options.SectorSize, options.MaxBytes);
            context.Logger.LogInformation("{Image}: recorded in {Log}", request.Location, path);
            return new RecordingMedium(inner, log, context.Logger);
        }
        catch
        {
            file?.Dispose();
            inner.Dispose();
            throw;
        }
    }
}
