using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Pipelines;

/// <summary>The media of a pipeline, one standing on the next. Thread-safe.</summary>
internal sealed class MediumChain(IReadOnlyList<MediumLayer> layers)
{
    /// <summary>Whether a location is a file that the host's own medium opens.</summary>
    public bool StandsOnFile => layers[^1].Id == BuiltInStrategies.FileMedium;

    /// <summary>Opens a location through all layers. What <see cref="MediumRequest.OpenInner"/> of the request says is replaced by the next layer.</summary>
    public IStorageMedium Open(MediumRequest request) => Open(request, 0);

    private IStorageMedium Open(MediumRequest request, int index)
    {
        MediumLayer layer = layers[index];
        return StrategyCall.Guard(layer.Factory.GetType(), $"medium '{layer.Id}'", request.Location, () => layer.Factory.Open(
            new MediumRequest
            {
                Location = request.Location,
                ReadOnly = request.ReadOnly,
                Create = request.Create,
                Truncate = request.Truncate,
                OpenInner = () => index + 1 < layers.Count ? Open(request, index + 1) : throw new DiagnosticException(
                    "SP2013", $"medium '{layer.Id}' stands on another one, and none follows it in the pipeline", request.Location,
                    fix: $"write \"medium\": [\"{layer.Id}\", \"{BuiltInStrategies.FileMedium}\"]"),
            },
            layer.Context));
    }
}

/// <summary>One medium of a chain.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Factory">Its strategy.</param>
/// <param name="Context">Options, log and meter of this use.</param>
internal sealed record MediumLayer(string Id, IMediumFactory Factory, StrategyContext Context);
