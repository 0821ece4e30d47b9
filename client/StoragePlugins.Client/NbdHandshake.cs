using System.Buffers.Binary;
using System.Text;

namespace StoragePlugins.Client;

/// <summary>What a handshake led to.</summary>
internal sealed record NbdAgreement(long Size, NbdFeatures Features, NbdBlockSizes BlockSizes, string? WhyNoBarriers);

/// <summary>The handshake: fixed newstyle, guest barriers for one export, and that export. Simple replies: nothing asked for here needs others.</summary>
internal sealed class NbdHandshake(NbdStream stream, string export)
{
    // Text and numbers; more is not meant for us.
    private const int MaxOptionReplyBytes = 64 << 10;

    // A server may tell much of an export, but not without end.
    private const int MaxReplies = 64;

    private long _size = -1;
    private NbdFeatures _features;
    private NbdBlockSizes _sizes = NbdBlockSizes.Default;

    public NbdAgreement Run(bool askForBarriers)
    {
        byte[] name = Encoding.UTF8.GetBytes(export);
        if (name.Length > NbdWire.MaxStringBytes) throw new NbdException(NbdFailure.Refused, stream.Server, $"the export's name is longer than {NbdWire.MaxStringBytes} bytes");
        Greet();
        string? whyNoBarriers = "they were not asked for";
        if (askForBarriers) whyNoBarriers = AskForBarriers(name);
        Go(name);
        if (whyNoBarriers is null) _features |= NbdFeatures.Barriers;
        return new NbdAgreement(_size, _features, _sizes, whyNoBarriers);
    }

    private void Greet()
    {
        Span<byte> greeting = stackalloc byte[NbdWire.GreetingBytes];
        stream.Receive(greeting);
        ushort flags = BinaryPrimitives.ReadUInt16BigEndian(greeting[16..]);
        if (BinaryPrimitives.ReadUInt64BigEndian(greeting) != NbdWire.ServerMagic || BinaryPrimitives.ReadUInt64BigEndian(greeting[8..]) != NbdWire.OptionMagic
            || (flags & NbdWire.FixedNewstyle) == 0) throw stream.Nonsense("it does not speak fixed newstyle NBD");
        Span<byte> ours = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(ours, (uint)(flags & (NbdWire.FixedNewstyle | NbdWire.NoZeroes)));
        stream.Send(ours);
    }

    // Before GO, since only then is there still time to agree on anything.
    private string? AskForBarriers(byte[] name)
    {
        byte[] data = new byte[sizeof(uint) + name.Length];
        BinaryPrimitives.WriteInt32BigEndian(data, name.Length);
        name.CopyTo(data, sizeof(uint));
        SendOption(NbdOption.GuestBarriers, data);
        (NbdOptionReply type, byte[] reply) = ReceiveReply(NbdOption.GuestBarriers);
        return type switch
        {
            NbdOptionReply.Ack => null,
            NbdOptionReply.ErrorUnsupported => "the server does not know guest barriers (NBD_REP_ERR_UNSUP)",
            NbdOptionReply.ErrorPolicy => TextOf(reply) ?? "the server does not offer them for this export",
            NbdOptionReply.ErrorUnknown => "the server knows no such export",
            _ when IsError(type) => $"the server refused: {Describe(type, reply)}",
            _ => throw stream.Nonsense($"it answers the option for guest barriers with {type}"),
        };
    }

    private void Go(byte[] name)
    {
        byte[] data = new byte[sizeof(uint) + name.Length + (2 * sizeof(ushort))];
        BinaryPrimitives.WriteInt32BigEndian(data, name.Length);
        name.CopyTo(data, sizeof(uint));
        BinaryPrimitives.WriteUInt16BigEndian(data.AsSpan(sizeof(uint) + name.Length), 1);
        BinaryPrimitives.WriteUInt16BigEndian(data.AsSpan(sizeof(uint) + name.Length + sizeof(ushort)), (ushort)NbdInfo.BlockSize);
        SendOption(NbdOption.Go, data);
        for (int replies = 0; replies < MaxReplies; replies++)
        {
            (NbdOptionReply type, byte[] reply) = ReceiveReply(NbdOption.Go);
            if (IsError(type)) throw new NbdException(NbdFailure.Refused, stream.Server, $"it refuses the export '{export}': {Describe(type, reply)}");
            if (type == NbdOptionReply.Info) Take(reply);
            else if (type == NbdOptionReply.Ack && _size >= 0) return;
            else throw stream.Nonsense("it says nothing of the export");
        }

        throw stream.Nonsense("it says too much of the export");
    }

    private void Take(ReadOnlySpan<byte> info)
    {
        if (info.Length < sizeof(ushort)) throw stream.Nonsense("an information without a kind");
        var kind = (NbdInfo)BinaryPrimitives.ReadUInt16BigEndian(info);
        if (kind == NbdInfo.Export && info.Length == 12)
        {
            _size = BinaryPrimitives.ReadInt64BigEndian(info[2..]);
            _features = (NbdFeatures)BinaryPrimitives.ReadUInt16BigEndian(info[10..]);
            if (_size < 0) throw stream.Nonsense($"an export of {(ulong)_size} bytes");
        }
        else if (kind == NbdInfo.BlockSize && info.Length == 14)
        {
            uint least = BinaryPrimitives.ReadUInt32BigEndian(info[2..]), preferred = BinaryPrimitives.ReadUInt32BigEndian(info[6..]), most = BinaryPrimitives.ReadUInt32BigEndian(info[10..]);
            if (least is 0 or > 1 << 16 || preferred < least || most < least || preferred > int.MaxValue) throw stream.Nonsense("block sizes that make no sense");
            _sizes = new NbdBlockSizes((int)least, (int)preferred, (int)Math.Min(most, NbdDisk.MaxPayloadBytes));
        }
    }

    private void SendOption(NbdOption option, ReadOnlySpan<byte> data)
    {
        byte[] message = new byte[NbdWire.OptionHeaderBytes + data.Length];
        BinaryPrimitives.WriteUInt64BigEndian(message, NbdWire.OptionMagic);
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(8), (uint)option);
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(12), data.Length);
        data.CopyTo(message.AsSpan(NbdWire.OptionHeaderBytes));
        stream.Send(message);
    }

    private (NbdOptionReply Type, byte[] Data) ReceiveReply(NbdOption to)
    {
        Span<byte> header = stackalloc byte[NbdWire.OptionReplyHeaderBytes];
        stream.Receive(header);
        uint length = BinaryPrimitives.ReadUInt32BigEndian(header[16..]);
        if (BinaryPrimitives.ReadUInt64BigEndian(header) != NbdWire.OptionReplyMagic || BinaryPrimitives.ReadUInt32BigEndian(header[8..]) != (uint)to || length > MaxOptionReplyBytes)
            throw stream.Nonsense("its reply to an option makes no sense");
        byte[] data = new byte[length];
        stream.Receive(data);
        return ((NbdOptionReply)BinaryPrimitives.ReadUInt32BigEndian(header[12..]), data);
    }

    private static bool IsError(NbdOptionReply type) => (uint)type >= (uint)NbdOptionReply.ErrorUnsupported;

    private static string? TextOf(byte[] reply) => reply.Length == 0 ? null : Encoding.UTF8.GetString(reply);

    private static string Describe(NbdOptionReply type, byte[] reply)
    {
        string name = type switch
        {
            NbdOptionReply.ErrorUnsupported => "the option is not supported",
            NbdOptionReply.ErrorPolicy => "policy",
            NbdOptionReply.ErrorInvalid => "the request is invalid",
            NbdOptionReply.ErrorPlatform => "not on its platform",
            NbdOptionReply.ErrorTlsRequired => "TLS is required",
            NbdOptionReply.ErrorUnknown => "there is no such export",
            NbdOptionReply.ErrorShutdown => "it is shutting down",
            NbdOptionReply.ErrorBlockSizeRequired => "block sizes are required",
            NbdOptionReply.ErrorTooBig => "the request is too big",
            _ => $"error 0x{(uint)type:x8}",
        };
        return TextOf(reply) is { } text ? $"{name} ({text})" : name;
    }
}
