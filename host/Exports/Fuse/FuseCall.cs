using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>One request on its way through the server: what is left of its body, and the reply as far as it is written.</summary>
/// <remarks>Reads never leave the request's bytes and replies never leave the room, whatever the lengths in the request say.</remarks>
internal ref struct FuseCall
{
    private readonly Span<byte> _room;
    private ReadOnlySpan<byte> _body;

    /// <param name="header">The request's header.</param>
    /// <param name="body">What follows it.</param>
    /// <param name="room">For the reply's payload.</param>
    public FuseCall(in FuseRequestHeader header, ReadOnlySpan<byte> body, Span<byte> room)
    {
        Header = header;
        _body = body;
        _room = room;
    }

    /// <summary>The header.</summary>
    public FuseRequestHeader Header { get; }

    /// <summary>Bytes of the reply's payload so far.</summary>
    public int ReplyLength { get; private set; }

    /// <summary>There was no space and nothing was changed: the same request may be asked again.</summary>
    public bool MayFindSpaceLater { readonly get; set; }

    /// <summary>What of the body was not taken yet.</summary>
    public readonly ReadOnlySpan<byte> Rest => _body;

    /// <summary>Room left for the reply.</summary>
    public readonly Span<byte> Room => _room[ReplyLength..];

    /// <summary>Takes a structure from the body.</summary>
    /// <returns>False when the body is too short.</returns>
    public bool TryTake<T>(out T value) where T : unmanaged
    {
        if (!MemoryMarshal.TryRead(_body, out value)) return false;
        _body = _body[Unsafe.SizeOf<T>()..];
        return true;
    }

    /// <summary>Takes a string that ends with a 0, without the 0.</summary>
    /// <returns>False when there is no 0.</returns>
    public bool TryTakeString(out ReadOnlySpan<byte> text)
    {
        int end = _body.IndexOf((byte)0);
        text = end < 0 ? default : _body[..end];
        if (end < 0) return false;
        _body = _body[(end + 1)..];
        return true;
    }

    /// <summary>Appends a structure of zeros to the reply.</summary>
    public ref T Append<T>() where T : unmanaged
    {
        Span<byte> place = Room[..Unsafe.SizeOf<T>()];
        place.Clear();
        ReplyLength += place.Length;
        return ref MemoryMarshal.AsRef<T>(place);
    }

    /// <summary>Counts bytes that were written into <see cref="Room"/>.</summary>
    public void Advance(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)bytes, (uint)Room.Length);
        ReplyLength += bytes;
    }

    /// <summary>Forgets the reply as far as it is written.</summary>
    public void ClearReply() => ReplyLength = 0;
}
