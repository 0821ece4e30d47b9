namespace StoragePlugins;

/// <summary>The mutant that is active in this process. Background threads of the strategies see it too.</summary>
public static class Mutant
{
    private static volatile string? s_active;

    /// <summary>Whether a protection is taken out.</summary>
    public static bool Is(string id) => s_active == id;

    /// <summary>Takes a protection out until the returned object is disposed. One at a time.</summary>
    public static IDisposable Activate(string id)
    {
        if (Interlocked.CompareExchange(ref s_active, id, null) is { } other) throw new InvalidOperationException($"{other} is active.");
        return new Active();
    }

    private sealed class Active : IDisposable
    {
        public void Dispose() => s_active = null;
    }
}
