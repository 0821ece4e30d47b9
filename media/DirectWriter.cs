using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Media;

/// <summary>A file, open a second time to be written past the page cache (O_DIRECT), and zeros that are written so.</summary>
/// <remarks>
/// <para>Zeros that wait in the page cache are written by the next fdatasync of whoever needs one, with a journal commit of the file system for their
/// allocation: on ext4 flushes took ten times as long while a run was prepared.</para>
/// <para>What readers find in the page cache is kept right by the kernel (open(2), "O_DIRECT": it writes out and drops the pages of the range).</para>
/// <para>Thread-safe. One more descriptor a file, opened when it is first needed; locks of open file descriptions stay with theirs.</para>
/// </remarks>
/// <param name="file">Open for writing.</param>
internal sealed unsafe class DirectWriter(SafeFileHandle file) : IDisposable
{
    /// <summary>Addresses, offsets and lengths are multiples of it: no device that Linux knows has larger sectors.</summary>
    public const int Alignment = 4096;

    /// <summary>Large enough for one device request.</summary>
    private const int ZeroBlockBytes = 1 << 20;

    // Never written, never freed.
    private static readonly Lazy<nint> s_zeros = new(() =>
    {
        void* block = NativeMemory.AlignedAlloc(ZeroBlockBytes, Alignment);
        NativeMemory.Clear(block, ZeroBlockBytes);
        return (nint)block;
    });

    private readonly Lock _opening = new();
    private volatile SafeFileHandle? _direct;
    private volatile bool _isImpossible;

    /// <summary>Whether a range can be written so.</summary>
    public static bool IsAligned(long offset, long length) => ((offset | length) & (Alignment - 1)) == 0;

    /// <summary>Open with O_DIRECT; null where the file cannot be. This object's.</summary>
    public SafeFileHandle? Descriptor => _isImpossible || (_direct ?? Open()) is not { IsInvalid: false } direct ? null : direct;

    /// <summary>Writes zeros; they are in the device's cache on return.</summary>
    /// <returns>False where it cannot be done so, for the range's alignment or for the file: nothing was written then, or zeros in a part of it.</returns>
    /// <exception cref="IOException">The device failed.</exception>
    public bool TryWriteZeros(long offset, long length)
    {
        if (!IsAligned(offset, length)) return false;
        for (long done = 0; done < length; done += ZeroBlockBytes)
        {
            if (!TryWriteAligned(offset + done, new ReadOnlySpan<byte>((void*)s_zeros.Value, (int)Math.Min(ZeroBlockBytes, length - done)))) return false;
        }

        return true;
    }

    /// <inheritdoc/>
    public void Dispose() => _direct?.Dispose();

    private bool TryWriteAligned(long offset, ReadOnlySpan<byte> data)
    {
        if (Descriptor is not { } direct) return false;
        try
        {
            RandomAccess.Write(direct, data, offset);
            return true;
        }
        catch (IOException refused) when (refused.HResult == Libc.EInval)
        {
            // A file system that takes the flag and not the write.
            _isImpossible = true;
            return false;
        }
    }

    private SafeFileHandle Open()
    {
        lock (_opening)
        {
            if (_direct is { } opened) return opened;
            SafeFileHandle direct = UnixFile.OpenDirect(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{file.DangerousGetHandle()}"));
            _isImpossible = direct.IsInvalid;
            return _direct = direct;
        }
    }
}
