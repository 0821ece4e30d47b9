using System.Diagnostics;
using System.Runtime.InteropServices;

namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>The receiving side of a connection: one large native buffer, filled by as few receives as possible. One thread.</summary>
internal sealed unsafe class ReceiveBuffer : IDisposable
{
    private readonly int _fd;
    private readonly byte* _memory;
    private int _from, _to;
    private long _waitingSince;

    /// <param name="fd">The socket, which outlives this object.</param>
    /// <param name="capacity">Bytes.</param>
    public ReceiveBuffer(int fd, int capacity)
    {
        _fd = fd;
        Capacity = capacity;
        _memory = (byte*)NativeMemory.Alloc((nuint)capacity);
    }

    /// <summary>Bytes.</summary>
    public int Capacity { get; }

    /// <summary>Received and not yet consumed.</summary>
    public int Available => _to - _from;

    /// <summary>The first unconsumed byte.</summary>
    public byte* Start => _memory + _from;

    /// <summary>Since when the rest of a begun request has been waited for, in <see cref="Stopwatch"/> ticks; 0 when none is.</summary>
    public long WaitingSince => Volatile.Read(ref _waitingSince);

    /// <summary>Unconsumed bytes; valid until the next receive.</summary>
    public ReadOnlySpan<byte> Peek(int length) => new(_memory + _from, length);

    /// <summary>Consumes bytes.</summary>
    public void Consume(int length) => _from += length;

    /// <summary>Waits for something new.</summary>
    /// <returns>False at the end of the stream.</returns>
    public bool Fill()
    {
        MakeRoom();
        int received = SocketSyscalls.Receive(_fd, _memory + _to, Capacity - _to);
        if (received <= 0) return false;
        _to += received;
        return true;
    }

    /// <summary>Waits until a begun request is there, which must fit.</summary>
    /// <returns>False at the end of the stream.</returns>
    public bool FillTo(int length)
    {
        if (Available >= length) return true;
        Volatile.Write(ref _waitingSince, Stopwatch.GetTimestamp());
        bool filled = true;
        while (filled && Available < length) filled = Fill();
        Volatile.Write(ref _waitingSince, 0);
        return filled;
    }

    /// <summary>Moves bytes of a begun request elsewhere, receiving what has not come yet straight into place.</summary>
    /// <returns>False at the end of the stream.</returns>
    public bool ReceiveInto(byte* destination, int length)
    {
        int buffered = Math.Min(Available, length);
        new ReadOnlySpan<byte>(Start, buffered).CopyTo(new Span<byte>(destination, length));
        Consume(buffered);
        Volatile.Write(ref _waitingSince, Stopwatch.GetTimestamp());
        int received = 1;
        for (int done = buffered; done < length && received > 0; done += received)
            received = SocketSyscalls.Receive(_fd, destination + done, length - done);
        Volatile.Write(ref _waitingSince, 0);
        return received > 0;
    }

    /// <summary>Drops bytes of a begun request.</summary>
    /// <returns>False at the end of the stream.</returns>
    public bool Skip(int length)
    {
        Volatile.Write(ref _waitingSince, Stopwatch.GetTimestamp());
        bool filled = true;
        while (filled && length > 0)
        {
            if (Available == 0) filled = Fill();
            int step = Math.Min(Available, length);
            Consume(step);
            length -= step;
        }

        Volatile.Write(ref _waitingSince, 0);
        return filled;
    }

    /// <inheritdoc/>
    public void Dispose() => NativeMemory.Free(_memory);

    // A move is rare: mostly everything was consumed.
    private void MakeRoom()
    {
        if (_from == 0) return;
        int left = Available;
        if (left > 0) Buffer.MemoryCopy(_memory + _from, _memory, Capacity, left);
        _from = 0;
        _to = left;
    }
}
