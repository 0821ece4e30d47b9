namespace StoragePlugins.BarrierFS;

/// <summary>What a failed sync, barrier or held-back write leaves of a medium: the first failure, thrown from then on.</summary>
internal sealed class Poison(string target)
{
    private volatile Exception? _cause;
    private string _operation = "";

    /// <summary>Whether something failed.</summary>
    public bool IsSet => _cause is not null;

    /// <summary>Remembers the first failure; later ones are its consequence.</summary>
    public void Set(string operation, Exception cause)
    {
        if (_cause is not null) return;
        _operation = operation;
        _cause = cause;
    }

    /// <exception cref="DurabilityLostException">Something failed.</exception>
    public void ThrowIfSet()
    {
        if (_cause is { } cause)
            throw new DurabilityLostException(_operation, target, $"{cause.Message}; close the disk, check the device and open it again", cause);
    }
}
