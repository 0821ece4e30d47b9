using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Media;

/// <summary>Writes zeros into a file past the page cache, so that nobody's flush has to write them, nor has to wait until the kernel has.</summary>
/// <remarks>
/// Zeros that wait in the page cache are written by the next fdatasync of whoever needs one, with a journal commit of the file system for their allocation: on
/// ext4 flushes took ten times as long while a run was prepared. Not thread-safe. One buffer a process; one more descriptor a file, opened when
/// it is first needed. Locks are not touched: those of open file descriptions stay with theirs.
/// </remarks>
/// <param name="file">Open for writing.</param>
internal sealed unsafe class ZeroWriter(SafeFileHandle file) : IDisposable
{
    /// <summary>Offsets and lengths are multiples of it: no device that Linux knows has larger sectors.</summary>
    public const int Alignment = 4096;

    /// <summary>Large enough for one device request.</summary>
    private const int BlockBytes = 1 << 20;

    // Never written, never freed.
    private static readonly Lazy<nint> s_zeros = new(() =>
    {
        void* block = NativeMemory.AlignedAlloc(BlockBytes, Alignment);
        NativeMemory.Clear(block, BlockBytes);
        return (nint)block;
    });

    private SafeFileHandle? _direct;
    private bool _isImpossible;

    /// <summary>Writes zeros; they are in the device's cache on return.</summary>
    /// <returns>False where the file cannot be written so: nothing was written then, or zeros in a part of the range.</returns>
    /// <exception cref="IOException">The device failed.</exception>
    public bool TryWrite(long offset, long length)
    {
        if (_isImpossible || ((offset | length) & (Alignment - 1)) != 0) return false;
        _direct ??= UnixFile.OpenDirect(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{file.DangerousGetHandle()}"));
        _isImpossible = _direct.IsInvalid;
        try
        {
            for (long done = 0; !_isImpossible && done < length; done += BlockBytes)
            {
                RandomAccess.Write(_direct, new ReadOnlySpan<byte>((void*)s_zeros.Value, (int)Math.Min(BlockBytes, length - done)), offset + done);
            }
        }
        catch (IOException refused) when (refused.HResult == Libc.EInval)
        {
            // A file system that takes the flag and not the write.
            _isImpossible = true;
        }

        return !_isImpossible;
    }

    /// <inheritdoc/>
    public void Dispose() => _direct?.Dispose();
}
