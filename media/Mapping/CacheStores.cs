using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace StoragePlugins.Media.Mapping;

/// <summary>Stores whose order and width matter for what a power cut leaves.</summary>
internal static unsafe class CacheStores
{
    /// <summary>What the CPU writes back at once.</summary>
    public const int LineBytes = 64;

    /// <summary>Lines written back per call without the runtime being able to stop the thread: some ten microseconds.</summary>
    private const int LinesPerCall = 1024;

    /// <summary>Cached stores, ascending; whole aligned words are stored as such.</summary>
    public static void Copy(byte* to, byte* from, nint length)
    {
        for (; length > 0 && ((nint)to & 7) != 0; length--) Volatile.Write(ref *to++, *from++);
        for (; length >= 8; length -= 8, to += 8, from += 8) Volatile.Write(ref *(long*)to, *(long*)from);
        for (; length > 0; length--) Volatile.Write(ref *to++, *from++);
    }

    /// <summary>Whole lines past the cache. They gather in a write-combining buffer until the next fence.</summary>
    /// <param name="to">Aligned to a line.</param>
    /// <param name="from">Anywhere.</param>
    /// <param name="lines">How many.</param>
    public static void StreamLines(byte* to, byte* from, nint lines)
    {
        if (Vector512.IsHardwareAccelerated)
        {
            for (; lines > 0; lines--, to += LineBytes, from += LineBytes) Vector512.Load(from).StoreAlignedNonTemporal(to);
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            for (; lines > 0; lines--, to += LineBytes, from += LineBytes)
            {
                Vector256.Load(from).StoreAlignedNonTemporal(to);
                Vector256.Load(from + 32).StoreAlignedNonTemporal(to + 32);
            }
        }
        else
        {
            for (; lines > 0; lines--, to += LineBytes, from += LineBytes)
            {
                for (int part = 0; part < LineBytes; part += 16) Vector128.Load(from + part).StoreAlignedNonTemporal(to + part);
            }
        }
    }

    /// <summary>Starts the write-back of every line that the range touches.</summary>
    public static void WriteBack(byte* start, nint length)
    {
        nint first = (nint)start & ~(nint)(LineBytes - 1);
        nint lines = ((nint)start + length - first + LineBytes - 1) / LineBytes;
        for (; lines > 0; lines -= LinesPerCall, first += LinesPerCall * LineBytes) SigbusGuard.WriteBackLines(first, Math.Min(lines, LinesPerCall));
    }

    /// <summary>Waits for this thread's streamed and written-back lines.</summary>
    public static void Fence() => Sse.StoreFence();
}
