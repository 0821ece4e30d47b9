namespace StoragePlugins.Host.Disks;

/// <summary>Copies one disk into another that is new and reads as zeros: zeros are not written.</summary>
/// <remarks>Not thread-safe. Memory: one buffer of <see cref="BufferBytes"/>.</remarks>
internal sealed class DiskCopy(IVirtualDisk source, IVirtualDisk target)
{
    /// <summary>Large enough for sequential speed, small enough that progress is seen and a stop is heeded at once.</summary>
    private const int BufferBytes = 4 << 20;

    /// <summary>Runs of extents asked for at once.</summary>
    private const int ExtentsAtOnce = 256;

    private readonly byte[] _buffer = new byte[BufferBytes];
    private readonly IExtentDisk? _extents = source.GetCapability<IExtentDisk>();

    /// <summary>Zeros are looked for in blocks of this many bytes: less than what the target allocates at once saves nothing.</summary>
    private readonly int _block = Math.Clamp(target.PreferredBlockSize, 4096, BufferBytes);

    /// <summary>Copies everything. Not durable on return.</summary>
    /// <param name="progress">Told now and then how many bytes are done; may throw to stop.</param>
    public void Run(Action<long> progress)
    {
        var extents = new DiskExtent[ExtentsAtOnce];
        for (long at = 0; at < source.Length;)
        {
            int count = 1;
            if (_extents is null) extents[0] = new DiskExtent(source.Length - at, ExtentFlags.None, 1);
            else count = _extents.DescribeExtents(at, source.Length - at, extents);
            for (int i = 0; i < count; i++)
            {
                if ((extents[i].Flags & ExtentFlags.Zero) == 0) CopyRun(at, extents[i].Length, progress);
                at += extents[i].Length;
                progress(at);
            }
        }
    }

    private void CopyRun(long offset, long length, Action<long> progress)
    {
        for (long end = offset + length; offset < end;)
        {
            // Pieces end where the buffer's blocks do, so that blocks are the target's own.
            int piece = (int)Math.Min(end - offset, BufferBytes - (offset & (_block - 1)));
            Span<byte> bytes = _buffer.AsSpan(0, piece);
            source.Read(offset, bytes);
            WriteData(offset, bytes);
            offset += piece;
            progress(offset);
        }
    }

    /// <summary>Writes the runs of blocks that are not all zeros.</summary>
    private void WriteData(long offset, ReadOnlySpan<byte> bytes)
    {
        int from = -1;
        for (int at = 0; at < bytes.Length;)
        {
            int block = (int)Math.Min(bytes.Length - at, _block - ((offset + at) & (_block - 1)));
            bool isZero = bytes.Slice(at, block).IndexOfAnyExcept((byte)0) < 0;
            if (!isZero && from < 0) from = at;
            if (isZero && from >= 0)
            {
                target.Write(offset + from, bytes[from..at]);
                from = -1;
            }

            at += block;
        }

        if (from >= 0) target.Write(offset + from, bytes[from..]);
    }
}
