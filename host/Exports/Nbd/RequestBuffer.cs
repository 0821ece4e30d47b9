using System.Runtime.InteropServices;

namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>
/// Native memory for one request's payload, with room for the reply's header right before it, so that header and payload leave in one send.
/// </summary>
/// <remarks>The payload is page-aligned, as direct I/O wants it. Not thread-safe; owned by one request at a time.</remarks>
internal sealed unsafe class RequestBuffer
{
    /// <summary>Bytes before the payload: a page, which keeps the payload aligned.</summary>
    public const int HeaderRoom = 4096;

    private byte* _memory;

    /// <param name="capacity">Bytes of payload.</param>
    public RequestBuffer(int capacity)
    {
        Capacity = capacity;
        _memory = (byte*)NativeMemory.AlignedAlloc((nuint)(HeaderRoom + capacity), HeaderRoom);
    }

    /// <summary>Bytes of payload.</summary>
    public int Capacity { get; }

    /// <summary>Where the payload starts; up to <see cref="HeaderRoom"/> bytes before it are usable too.</summary>
    public byte* Payload => _memory + HeaderRoom;

    /// <summary>The first bytes of the payload.</summary>
    public Span<byte> Span(int length) => new(Payload, length);

    /// <summary>Gives the memory back to the system.</summary>
    public void Free()
    {
        NativeMemory.AlignedFree(_memory);
        _memory = null;
    }
}
