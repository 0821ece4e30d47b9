using Microsoft.Extensions.Logging;

namespace StoragePlugins;

/// <summary>What the host gives a strategy for one use: its options as configured there, a log, a meter, and a way to other media.</summary>
public sealed class StrategyContext
{
    private readonly object? _options;

    /// <summary>Made by the host, by the crash kit and by tests.</summary>
    /// <param name="options">An instance of <see cref="StrategyAttribute.Options"/>, validated; or null.</param>
    /// <param name="meter">Where this use's I/O is counted.</param>
    /// <param name="logger">Where notices go. Control plane only: nothing is logged per request.</param>
    /// <param name="openMedium">Opens a further medium by location, for a journal of its own; null where none can be had.</param>
    public StrategyContext(object? options, StorageMeter meter, ILogger logger, Func<MediumRequest, IStorageMedium>? openMedium = null)
    {
        _options = options;
        Meter = meter;
        Logger = logger;
        OpenMedium = openMedium ?? (request => throw new DiagnosticException(
            "SP5002", $"no medium can be opened here for '{request.Location}'", fix: "run it inside a pipeline"));
    }

    /// <summary>Where this use's I/O is counted.</summary>
    public StorageMeter Meter { get; }

    /// <summary>Where notices go.</summary>
    public ILogger Logger { get; }

    /// <summary>Opens a further medium by its location, through the same media strategies as the image, so that simulations and recorders see it too.</summary>
    public Func<MediumRequest, IStorageMedium> OpenMedium { get; }

    /// <summary>The options of this use, bound and validated by the host; defaults where the configuration is silent.</summary>
    public T Options<T>() where T : class, new() => _options as T ?? new T();
}
