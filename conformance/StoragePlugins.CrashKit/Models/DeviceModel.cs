using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Models;

/// <summary>
/// Follows the trace of one device and knows what is durable (<see cref="Base"/>) and what may be (<see cref="CollectSlots"/>). Not thread-safe.
/// </summary>
internal abstract class DeviceModel(int device, DeviceImage image)
{
    private const int HashedAtOnce = 64 << 10;

    /// <summary>What is certainly durable.</summary>
    public DeviceImage Base { get; } = image;

    /// <summary>The hash of the durable content.</summary>
    public ulong BaseHash { get; private set; } = ContentHash.Of(device, 0, image.ToArray()) ^ ContentHash.OfLength(device, image.Length);

    protected int Device => device;

    /// <summary>An event was submitted.</summary>
    public abstract void Begin(TraceEvent entry);

    /// <summary>An event returned.</summary>
    public abstract void End(TraceEvent entry);

    /// <summary>Adds what a power cut now would decide about.</summary>
    public abstract void CollectSlots(List<Slot> slots);

    /// <summary>Changes the durable content.</summary>
    protected void Persist(TraceEvent entry, long offset, ReadOnlySpan<byte> data)
    {
        switch (entry.Kind)
        {
            case TraceKind.SetLength:
                long before = Base.Length;
                if (entry.Offset < before) Rehash(entry.Offset, before - entry.Offset, () => Base.Zero(entry.Offset, before - entry.Offset));
                Resize(() => Base.SetLength(entry.Offset));
                break;
            case TraceKind.Zero:
                if (entry.Content == ContentClass.Preallocation) Resize(() => Base.Extend(entry.Offset + entry.Length));
                Rehash(entry.Offset, entry.Length, () => Base.Zero(entry.Offset, entry.Length));
                break;
            default:
                ulong old = HashOf(offset, data.Length), length = ContentHash.OfLength(device, Base.Length);
                Base.Write(offset, data);
                BaseHash ^= old ^ HashOf(offset, data.Length) ^ length ^ ContentHash.OfLength(device, Base.Length);
                break;
        }
    }

    private void Rehash(long offset, long length, Action change)
    {
        length = Math.Min(length, Base.Length - offset);
        if (length <= 0) return;
        ulong old = HashOf(offset, length);
        change();
        BaseHash ^= old ^ HashOf(offset, length);
    }

    private void Resize(Action change)
    {
        ulong old = ContentHash.OfLength(device, Base.Length);
        change();
        BaseHash ^= old ^ ContentHash.OfLength(device, Base.Length);
    }

    private ulong HashOf(long offset, long length)
    {
        ulong hash = 0;
        long end = Math.Min(Base.Length, (offset + length + 7) & ~7L);
        for (long at = offset & ~7L; at < end;)
        {
            int part = (int)Math.Min(HashedAtOnce, end - at);
            hash ^= ContentHash.Of(device, at, Base.View(at, part));
            at += part;
        }

        return hash;
    }
}
