using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>Lays out and sends what the server says in a handshake. One thread; sends wait for the client, the handshake's deadline ends them.</summary>
internal sealed class NbdOptionWriter
{
    private readonly int _fd;
    private readonly ArrayBufferWriter<byte> _bytes = new(512);

    public NbdOptionWriter(int fd) => _fd = fd;

    /// <summary>The server's first words.</summary>
    public bool SendGreeting()
    {
        UInt64(NbdProtocol.ServerMagic);
        UInt64(NbdProtocol.OptionMagic);
        UInt16(NbdProtocol.HandshakeFlags);
        return Flush();
    }

    /// <summary>One reply.</summary>
    public void Reply(NbdOption option, NbdOptionReply type, ReadOnlySpan<byte> payload = default)
    {
        ReplyHeader(option, type, payload.Length);
        _bytes.Write(payload);
    }

    /// <summary>The answer to EXPORT_NAME, the only one without a reply header.</summary>
    public void ExportNameReply(long length, NbdTransmissionFlags flags, bool noZeroes)
    {
        UInt64((ulong)length);
        UInt16((ushort)flags);
        if (noZeroes) return;
        _bytes.GetSpan(NbdProtocol.ExportNamePadding)[..NbdProtocol.ExportNamePadding].Clear();
        _bytes.Advance(NbdProtocol.ExportNamePadding);
    }

    /// <summary>NBD_INFO_EXPORT.</summary>
    public void ExportInfo(NbdOption option, long length, NbdTransmissionFlags flags)
    {
        ReplyHeader(option, NbdOptionReply.Info, sizeof(ushort) + sizeof(ulong) + sizeof(ushort));
        UInt16((ushort)NbdInfo.Export);
        UInt64((ulong)length);
        UInt16((ushort)flags);
    }

    /// <summary>NBD_INFO_NAME, NBD_INFO_DESCRIPTION.</summary>
    public void TextInfo(NbdOption option, NbdInfo info, string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        ReplyHeader(option, NbdOptionReply.Info, sizeof(ushort) + utf8.Length);
        UInt16((ushort)info);
        _bytes.Write(utf8);
    }

    /// <summary>NBD_INFO_BLOCK_SIZE: any alignment is served.</summary>
    public void BlockSizeInfo(NbdOption option, int preferred)
    {
        ReplyHeader(option, NbdOptionReply.Info, sizeof(ushort) + (3 * sizeof(uint)));
        UInt16((ushort)NbdInfo.BlockSize);
        UInt32(1);
        UInt32((uint)preferred);
        UInt32(NbdProtocol.MaxPayloadBytes);
    }

    /// <summary>NBD_REP_META_CONTEXT; the id is reserved, zero, in a list.</summary>
    public void MetaContext(NbdOption option, bool isSet, NbdMetaContexts context, string name)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(name);
        ReplyHeader(option, NbdOptionReply.MetaContext, sizeof(uint) + utf8.Length);
        UInt32(isSet ? (uint)context : 0);
        _bytes.Write(utf8);
    }

    /// <summary>Sends what was written.</summary>
    /// <returns>False when the client is gone.</returns>
    public unsafe bool Flush()
    {
        int done = 0;
        fixed (byte* bytes = _bytes.WrittenSpan)
        {
            while (done < _bytes.WrittenCount)
            {
                int sent = SocketSyscalls.Send(_fd, bytes + done, _bytes.WrittenCount - done, wait: true);
                if (sent < 0) return false;
                done += sent;
            }
        }

        _bytes.ResetWrittenCount();
        return true;
    }

    private void ReplyHeader(NbdOption option, NbdOptionReply type, int length)
    {
        UInt64(NbdProtocol.OptionReplyMagic);
        UInt32((uint)option);
        UInt32((uint)type);
        UInt32((uint)length);
    }

    private void UInt16(ushort value)
    {
        BinaryPrimitives.WriteUInt16BigEndian(_bytes.GetSpan(sizeof(ushort)), value);
        _bytes.Advance(sizeof(ushort));
    }

    private void UInt32(uint value)
    {
        BinaryPrimitives.WriteUInt32BigEndian(_bytes.GetSpan(sizeof(uint)), value);
        _bytes.Advance(sizeof(uint));
    }

    private void UInt64(ulong value)
    {
        BinaryPrimitives.WriteUInt64BigEndian(_bytes.GetSpan(sizeof(ulong)), value);
        _bytes.Advance(sizeof(ulong));
    }
}

/// <summary>Reads an option's data, trusting none of its lengths.</summary>
internal ref struct NbdOptionReader
{
    private ReadOnlySpan<byte> _left;

    public NbdOptionReader(ReadOnlySpan<byte> data) => _left = data;

    /// <summary>Bytes not yet read.</summary>
    public readonly int Left => _left.Length;

    /// <summary>A length of four bytes and so many bytes of UTF-8; at most the protocol's limit for strings.</summary>
    public bool TryReadString(out string text)
    {
        text = "";
        if (!TryReadUInt32(out uint length) || length > NbdProtocol.MaxStringBytes || length > _left.Length) return false;
        text = Encoding.UTF8.GetString(_left[..(int)length]);
        _left = _left[(int)length..];
        return true;
    }

    /// <summary>Two bytes.</summary>
    public bool TryReadUInt16(out ushort value)
    {
        bool read = BinaryPrimitives.TryReadUInt16BigEndian(_left, out value);
        if (read) _left = _left[sizeof(ushort)..];
        return read;
    }

    /// <summary>Four bytes.</summary>
    public bool TryReadUInt32(out uint value)
    {
        bool read = BinaryPrimitives.TryReadUInt32BigEndian(_left, out value);
        if (read) _left = _left[sizeof(uint)..];
        return read;
    }
}
