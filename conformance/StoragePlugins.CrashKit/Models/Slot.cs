using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Models;

/// <summary>
/// The smallest thing that a power cut decides about: a sector, a cache line, a word, or the length of a file. It is in one of several versions,
/// of which 0 is what is durable.
/// </summary>
internal sealed class Slot
{
    private readonly List<SlotVersion> _versions = [];
    private long _leastLength = long.MaxValue;

    /// <summary>A slot whose durable content is known.</summary>
    public Slot(int device, long offset, ReadOnlyMemory<byte> durable, bool isLength = false)
    {
        (Device, Offset, IsLength) = (device, offset, isLength);
        _versions.Add(new SlotVersion(null, durable, 0, long.MinValue, long.MinValue));
    }

    public int Device { get; }

    /// <summary>First byte; for a length the durable length.</summary>
    public long Offset { get; }

    /// <summary>True when the versions are lengths of the file.</summary>
    public bool IsLength { get; }

    public IReadOnlyList<SlotVersion> Versions => _versions;

    public int Newest => _versions.Count - 1;

    /// <summary>The oldest version that a power cut now can leave, whatever the epoch.</summary>
    public int Floor { get; private set; }

    /// <summary>Adds what an event made of it. An event that changed nothing adds nothing.</summary>
    /// <param name="cause">The event.</param>
    /// <param name="content">The whole slot's content after it and all before it.</param>
    /// <param name="firstEpoch">The first epoch that may hold it.</param>
    /// <param name="lastEpoch">Once anything of a later epoch persisted, it did.</param>
    /// <param name="isDurable">It can be lost no more.</param>
    public void Add(TraceEvent cause, ReadOnlyMemory<byte> content, long firstEpoch, long lastEpoch, bool isDurable)
    {
        if (!content.Span.SequenceEqual(_versions[^1].Content.Span))
        {
            ulong hash = IsLength
                ? HashOfLength(content.Span)
                : ContentHash.Of(Device, Offset, content.Span) ^ ContentHash.Of(Device, Offset, _versions[0].Content.Span);
            _versions.Add(new SlotVersion(cause, content, hash, firstEpoch, lastEpoch));
        }

        if (isDurable) Floor = Newest;
    }

    // A file that was cut and grew again has zeros where one that was never cut has what it had: the same length and another content.
    private ulong HashOfLength(ReadOnlySpan<byte> content)
    {
        long length = BitConverter.ToInt64(content), durable = BitConverter.ToInt64(_versions[0].Content.Span);
        _leastLength = Math.Min(_leastLength, length);
        ulong hash = ContentHash.OfLength(Device, length) ^ ContentHash.OfLength(Device, durable);
        return _leastLength < Math.Min(length, durable) ? hash ^ ContentHash.OfLength(Device, ~_leastLength) : hash;
    }

    /// <summary>The oldest version that a power cut in this epoch can leave.</summary>
    public int FloorIn(long epoch)
    {
        int floor = Floor;
        for (int v = floor + 1; v <= Newest; v++) if (_versions[v].LastEpoch < epoch) floor = v;
        return floor;
    }

    /// <summary>The newest version that a power cut in this epoch can leave.</summary>
    public int CeilingIn(long epoch)
    {
        for (int v = Newest; v > Floor; v--) if (_versions[v].FirstEpoch <= epoch) return v;
        return Floor;
    }
}

/// <summary>A content that a slot had.</summary>
/// <param name="Cause">The event that made it; <see langword="null"/> for what was durable.</param>
/// <param name="Content">Its bytes.</param>
/// <param name="HashDelta">What choosing it does to the hash of the device.</param>
/// <param name="FirstEpoch">The first epoch that may hold it.</param>
/// <param name="LastEpoch">Once anything of a later epoch persisted, it did.</param>
internal readonly record struct SlotVersion(TraceEvent? Cause, ReadOnlyMemory<byte> Content, ulong HashDelta, long FirstEpoch, long LastEpoch);
