namespace StoragePlugins.Media;

/// <summary>Puts off telling the device of writes until they were answered: what the kernel calls plugging (blk_start_plug, blk_finish_plug).</summary>
/// <remarks>
/// <para>Under a hypervisor it takes as long to tell the device of a write as all the rest of the write: 20 to 40 µs each
/// (docs/architecture.md). The guest waits for its answer meanwhile; for the device nobody waits before the flush.</para>
/// <para>What is put off is as durable as what is under way: not at all, until a flush. It can be read, and whoever waits for it on any thread begins with
/// it first: <see cref="IDelayedStart"/>.</para>
/// <para>Of one thread at a time. A server sets it before it answers requests, and releases it when the answers have left.</para>
/// </remarks>
internal sealed class SubmissionPlug
{
    /// <summary>Beyond it nothing is put off: enough for the largest request in clusters.</summary>
    private const int MaxPutOff = 64;

    [ThreadStatic]
    private static SubmissionPlug? t_current;

    private readonly List<(IDelayedStart Target, long Offset, int Length)> _putOff = new(MaxPutOff);

    /// <summary>The calling thread's, with room; null while it has set none.</summary>
    public static SubmissionPlug? Current => t_current is { } plug && plug._putOff.Count < MaxPutOff ? plug : null;

    /// <summary>From now on the calling thread puts off what may be.</summary>
    public void Set() => t_current = this;

    /// <summary>A write was put off.</summary>
    public void Add(IDelayedStart target, long offset, int length) => _putOff.Add((target, offset, length));

    /// <summary>Begins with what was put off; from now on the calling thread puts nothing off.</summary>
    public void Release()
    {
        t_current = null;
        foreach ((IDelayedStart target, long offset, int length) in _putOff) target.Start(offset, length);
        _putOff.Clear();
    }
}

/// <summary>Begins with writes that were put off.</summary>
internal interface IDelayedStart
{
    /// <summary>Begins with a write, where that has not happened meanwhile. Never fails: an error is for the flush to report.</summary>
    void Start(long offset, int length);
}
