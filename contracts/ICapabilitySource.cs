namespace StoragePlugins;

/// <summary>
/// Something whose optional abilities are small interfaces, asked for once when it is opened.
/// </summary>
/// <remarks>
/// A wide interface full of <see cref="NotSupportedException"/> tells its caller too late. A capability that is not there is
/// <see langword="null"/> here, before the first request, and its absence can be reported, planned around or refused.
/// The answer never changes during the life of the object. A wrapper (a medium that slows another down, an ordering primitive) passes
/// on the capabilities of what it wraps only where using them directly would not go behind its back.
/// </remarks>
public interface ICapabilitySource
{
    /// <summary>Asks for an ability.</summary>
    /// <typeparam name="T">A capability interface of these contracts, or of any assembly that both sides know.</typeparam>
    /// <returns>The ability, valid as long as this object; <see langword="null"/> when it is not offered.</returns>
    /// <remarks>Thread-safe. Never throws. Not for the data path: keep what it returns.</remarks>
    T? GetCapability<T>() where T : class;
}
