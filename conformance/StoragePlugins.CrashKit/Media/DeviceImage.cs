using System.Buffers;
using System.Numerics;

namespace StoragePlugins.CrashKit.Media;

/// <summary>
/// The bytes of one simulated device. A trial is undone at once: every crash state starts from the same base without copying it.
/// </summary>
/// <remarks>Thread-safe (one lock). Bounded by <see cref="MaxLength"/>. Bytes past <see cref="Length"/> are zero.</remarks>
public sealed class DeviceImage
{
    /// <summary>The longest simulated device.</summary>
    public const long MaxLength = 256L << 20;

    private const int PageBytes = 4096;

    private readonly Lock _gate = new();
    private readonly int _granule;
    private readonly List<(int Page, byte[] Bytes)> _saved = [];
    private byte[] _bytes;
    private long _length;
    private int[] _savedIn = [];
    private int _trial;
    private bool _inTrial;
    private long _lengthBefore;
    private ulong[] _reads = [];
    private bool _tracksReads;

    /// <summary>A device with a content.</summary>
    /// <param name="content">Copied.</param>
    /// <param name="granule">The unit of <see cref="WasRead"/> in bytes: a sector, or a cache line.</param>
    public DeviceImage(ReadOnlySpan<byte> content, int granule = 512)
    {
        if (!BitOperations.IsPow2(granule)) throw new ArgumentOutOfRangeException(nameof(granule));
        _granule = BitOperations.Log2((uint)granule);
        _bytes = new byte[RoundUp(Math.Max(content.Length, 1))];
        content.CopyTo(_bytes);
        _length = content.Length;
    }

    /// <summary>Present length in bytes.</summary>
    public long Length
    {
        get
        {
            lock (_gate) return _length;
        }
    }

    /// <summary>A copy of the present content.</summary>
    public byte[] ToArray()
    {
        lock (_gate) return _bytes.AsSpan(0, (int)_length).ToArray();
    }

    /// <summary>Reads; short at the end.</summary>
    public int Read(long offset, Span<byte> buffer)
    {
        lock (_gate)
        {
            int there = (int)Math.Clamp(_length - offset, 0, buffer.Length);
            if (there > 0) _bytes.AsSpan((int)offset, there).CopyTo(buffer);
            if (_tracksReads) NoteRead(offset, buffer.Length);
            return there;
        }
    }

    /// <summary>The bytes themselves, for mapped memory. Valid until the device grows.</summary>
    public ReadOnlySpan<byte> View(long offset, int length)
    {
        lock (_gate)
        {
            if (offset < 0 || length < 0 || offset + length > _length) throw new ArgumentOutOfRangeException(nameof(offset));
            if (_tracksReads) NoteRead(offset, length);
            return _bytes.AsSpan((int)offset, length);
        }
    }

    /// <summary>Writes, growing where it ends past the end.</summary>
    public void Write(long offset, ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty) return;
        lock (_gate)
        {
            Touch(offset, data.Length);
            data.CopyTo(_bytes.AsSpan((int)offset));
            _length = Math.Max(_length, offset + data.Length);
        }
    }

    /// <summary>Zeroes the part of the range that exists.</summary>
    public void Zero(long offset, long length)
    {
        lock (_gate)
        {
            for (long end = Math.Min(offset + length, _length); offset < end;)
            {
                // What is zero already needs no saving: regions are zeroed ahead in every trial.
                Span<byte> part = _bytes.AsSpan((int)offset, (int)(Math.Min(end, ((offset / PageBytes) + 1) * PageBytes) - offset));
                if (part.ContainsAnyExcept((byte)0))
                {
                    Touch(offset, part.Length);
                    _bytes.AsSpan((int)offset, part.Length).Clear();
                }

                offset += part.Length;
            }
        }
    }

    /// <summary>Cuts or extends.</summary>
    public void SetLength(long length)
    {
        lock (_gate)
        {
            if (length < _length)
            {
                Touch(length, _length - length);
                _bytes.AsSpan((int)length, (int)(_length - length)).Clear();
            }
            else
            {
                Grow(length);
            }

            _length = length;
        }
    }

    /// <summary>Extends to at least a length; never cuts, whoever else extends meanwhile.</summary>
    public void Extend(long length)
    {
        lock (_gate)
        {
            Grow(length);
            _length = Math.Max(_length, length);
        }
    }

    /// <summary>From here on, <see cref="Rollback"/> undoes everything.</summary>
    public void BeginTrial()
    {
        lock (_gate)
        {
            if (_inTrial) throw new InvalidOperationException("A trial is under way.");
            _inTrial = true;
            _trial++;
            _lengthBefore = _length;
        }
    }

    /// <summary>Ends the trial and brings the base back. Costs as much as the trial changed.</summary>
    public void Rollback()
    {
        lock (_gate)
        {
            if (!_inTrial) throw new InvalidOperationException("No trial is under way.");
            foreach ((int page, byte[] bytes) in _saved)
            {
                bytes.AsSpan(0, PageBytes).CopyTo(_bytes.AsSpan(page * PageBytes));
                ArrayPool<byte>.Shared.Return(bytes);
            }

            _saved.Clear();
            _length = _lengthBefore;
            _inTrial = false;
        }
    }

    /// <summary>Notes from now on which granules are read; forgets what was noted.</summary>
    public void TrackReads()
    {
        lock (_gate)
        {
            Array.Clear(_reads);
            _tracksReads = true;
        }
    }

    /// <summary>Notes no more.</summary>
    public void StopTrackingReads()
    {
        lock (_gate) _tracksReads = false;
    }

    /// <summary>Whether any granule of the range was read since <see cref="TrackReads"/>.</summary>
    public bool WasRead(long offset, long length)
    {
        lock (_gate)
        {
            for (long g = offset >> _granule; g <= (offset + Math.Max(length, 1) - 1) >> _granule; g++)
            {
                int word = (int)(g >> 6);
                if (word >= _reads.Length) return false;
                if ((_reads[word] & (1UL << (int)(g & 63))) != 0) return true;
            }

            return false;
        }
    }

    private static int RoundUp(long length) => (int)((length + PageBytes - 1) / PageBytes * PageBytes);

    private void NoteRead(long offset, long length)
    {
        if (length <= 0) return;
        long first = offset >> _granule, last = (offset + length - 1) >> _granule;
        if (last >> 6 >= _reads.Length) Array.Resize(ref _reads, (int)Math.Max((last >> 6) + 1, (_bytes.Length >> _granule >> 6) + 1));
        for (long word = first >> 6; word <= last >> 6; word++)
        {
            ulong mask = ulong.MaxValue;
            if (word == first >> 6) mask &= ulong.MaxValue << (int)(first & 63);
            if (word == last >> 6) mask &= ulong.MaxValue >> (int)(63 - (last & 63));
            _reads[word] |= mask;
        }
    }

    private void Grow(long length)
    {
        if (length > MaxLength) throw new StorageException(StorageError.NoSpace, "grow", "simulated device", length, 0, $"the crash kit's devices end at {MaxLength >> 20} MiB");
        if (length > _bytes.Length) Array.Resize(ref _bytes, RoundUp(Math.Max(length, Math.Min(_bytes.Length * 2L, MaxLength))));
    }

    // Saves the pages of a range before they change.
    private void Touch(long offset, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        Grow(offset + length);
        if (!_inTrial) return;
        if (_savedIn.Length < _bytes.Length / PageBytes) Array.Resize(ref _savedIn, _bytes.Length / PageBytes);
        for (int page = (int)(offset / PageBytes); page <= (offset + length - 1) / PageBytes; page++)
        {
            if (_savedIn[page] == _trial) continue;
            _savedIn[page] = _trial;
            byte[] copy = ArrayPool<byte>.Shared.Rent(PageBytes);
            _bytes.AsSpan(page * PageBytes, PageBytes).CopyTo(copy);
            _saved.Add((page, copy));
        }
    }
}
