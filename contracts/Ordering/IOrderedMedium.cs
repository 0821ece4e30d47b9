namespace StoragePlugins;

/// <summary>
/// A medium whose writes can be ordered and made durable. Formats and journals write through it and through nothing else.
/// </summary>
/// <remarks>
/// <para>Reads always see every write that returned, also one that the primitive still holds back in memory (deferred epochs).
/// What it holds back is bounded: a write waits when the bound is reached.</para>
/// <para><b>Poison.</b> Once <see cref="Flush"/>, <see cref="Barrier"/> or anything done on their behalf failed, the failure is final:
/// every later <see cref="Flush"/>, <see cref="Barrier"/> and write throws <see cref="DurabilityLostException"/>, without another call to
/// the device, until the medium is opened anew and the image recovered. Reads go on. Nothing is ever retried.</para>
/// <para>Capabilities that bypass the write path (<see cref="IFlushableMedium"/>, <see cref="IBarrierMedium"/>) are not passed on.
/// <see cref="IDeallocatingMedium"/> is passed on with the order of a write.</para>
/// </remarks>
public interface IOrderedMedium : IStorageMedium
{
    /// <summary>
    /// Closes the epoch: everything whose write returned before this call persists before anything written after it returns.
    /// </summary>
    /// <remarks>Nothing is durable on return, and it need not wait. Thread-safe; a write in flight during the call falls on either side.</remarks>
    /// <exception cref="DurabilityLostException">Order can no longer be promised.</exception>
    void Barrier();

    /// <summary>Makes everything whose write returned before this call durable. Closes the epoch too.</summary>
    /// <remarks>Thread-safe. One call is at least one device flush unless the primitive knows that nothing was written since the last.</remarks>
    /// <exception cref="DurabilityLostException">The flush failed, now or before.</exception>
    void Flush();
}
