namespace StoragePlugins.Recorder.Tests;

/// <summary>A log on a disk that becomes full: a write beyond the limit writes what fits and fails with ENOSPC.</summary>
internal sealed class LimitedStream : MemoryStream
{
    private const int NoSpace = 28;

    public long Limit { get; set; } = long.MaxValue;

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        int room = (int)Math.Clamp(Limit - Position, 0, buffer.Length);
        int start = (int)Position;
        if (Length < start + room) SetLength(start + room);
        buffer[..room].CopyTo(GetBuffer().AsSpan(start));
        Position = start + room;
        if (room < buffer.Length) throw new IOException("No space left on device", NoSpace);
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));
}
