using StoragePlugins.Host.Evaluation.Places;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation;

/// <summary>The volumes of all contenders in a place, set up side by side. Disposing ends those that are left, whatever state they are in.</summary>
/// <param name="place">Where.</param>
/// <param name="regime">On which device.</param>
/// <param name="context">Folders and notes.</param>
/// <param name="cancel">Ends the setting up.</param>
internal sealed class VolumeSet(Place place, DeviceRegime regime, EvaluationContext context, CancellationToken cancel) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<EvaluatedContender, (IVolume Volume, string Folder)> _volumes = [];

    /// <summary>Sets contenders up, as many at once as there are processors: most of it is waiting.</summary>
    /// <param name="contenders">Whom.</param>
    /// <param name="diskBytes">Size of their disks.</param>
    /// <param name="neededBytes">Of what is not sparse.</param>
    /// <param name="isCounting">Whether they are to count, rather than to be timed.</param>
    /// <param name="failed">Told who could not be set up, and why.</param>
    public void SetUp(IEnumerable<EvaluatedContender> contenders, long diskBytes, long neededBytes, bool isCounting, Action<EvaluatedContender, Exception> failed)
        => InParallel([.. contenders], contender =>
        {
            // The same name each time, so that what strategies say of an image is said once; another one where something could not be taken away.
            string folder = Path.Combine(context.Scratch.Images, contender.Name);
            if (Directory.Exists(folder)) folder += "-" + Guid.NewGuid().ToString("N")[..6];
            Directory.CreateDirectory(folder);
            try
            {
                IVolume volume = place.SetUp(contender, new VolumeRequest(folder, context.Scratch.Sockets, diskBytes, neededBytes, regime, isCounting, cancel));
                lock (_lock) _volumes.Add(contender, (volume, folder));
                place.WarmUp(volume, cancel);
            }
            catch (Exception failure) when (EvaluationFailure.IsExpected(failure))
            {
                Drop(contender);
                if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
                failed(contender, failure);
            }
        });

    /// <summary>A contender's volume.</summary>
    public IVolume this[EvaluatedContender contender] => _volumes[contender].Volume;

    /// <summary>Whether a contender has one.</summary>
    public bool Contains(EvaluatedContender contender) => _volumes.ContainsKey(contender);

    /// <summary>Ends them cleanly and deletes their images.</summary>
    /// <param name="failed">Told who did not end cleanly, and why.</param>
    public void Close(Action<EvaluatedContender, Exception> failed) => InParallel([.. _volumes.Keys], contender =>
    {
        IVolume volume = _volumes[contender].Volume;
        try
        {
            volume.Close();
        }
        catch (Exception failure) when (EvaluationFailure.IsExpected(failure))
        {
            failed(contender, failure);
        }

        Drop(contender);
    });

    /// <summary>Ends one without ceremony.</summary>
    public void Drop(EvaluatedContender contender)
    {
        (IVolume Volume, string Folder) entry;
        lock (_lock)
        {
            if (!_volumes.Remove(contender, out entry)) return;
        }

        entry.Volume.Dispose();
        try
        {
            Directory.Delete(entry.Folder, recursive: true);
        }
        catch (IOException)
        {
            // Something in it is still mounted: it is taken apart with the scratch folders.
        }
    }

    /// <inheritdoc/>
    public void Dispose() => InParallel([.. _volumes.Keys], Drop);

    private static void InParallel(EvaluatedContender[] contenders, Action<EvaluatedContender> action)
    {
        try
        {
            Parallel.ForEach(contenders, new ParallelOptions { MaxDegreeOfParallelism = Math.Max(2, Environment.ProcessorCount) }, action);
        }
        catch (AggregateException several) when (several.InnerExceptions.Any(each => each is OperationCanceledException))
        {
            throw new OperationCanceledException("cancelled", several);
        }
    }
}

/// <summary>What may go wrong with a contender without ending the evaluation.</summary>
internal static class EvaluationFailure
{
    /// <summary>Whether a failure is of a contender, its volume or a program, and not of the evaluation.</summary>
    public static bool IsExpected(Exception failure)
        => failure is DiagnosticException or StorageException or Diagnostics.InvalidConfigurationException or IOException or UnauthorizedAccessException or System.Net.Sockets.SocketException;

    /// <summary>In one line.</summary>
    public static string Describe(Exception failure) => failure switch
    {
        DiagnosticException diagnostic => $"{diagnostic.Code}: {diagnostic.Message}",
        Diagnostics.InvalidConfigurationException invalid => $"{invalid.Errors[0].Code}: {invalid.Errors[0].Message}",
        _ => failure.Message.ReplaceLineEndings(" "),
    };
}
