using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;

namespace StoragePlugins.Host.Tests.Exports;

/// <summary>Speaks NBD byte by byte, with numbers from the protocol document and none of the server's own code.</summary>
internal sealed class NbdTestClient(Socket socket) : IDisposable
{
    public const uint OptExportName = 1, OptAbort = 2, OptList = 3, OptStartTls = 5, OptInfo = 6, OptGo = 7, OptStructured = 8, OptListMeta = 9, OptSetMeta = 10, OptExtended = 11, OptBarriers = 0x53504742;
    public const uint RepAck = 1, RepServer = 2, RepInfo = 3, RepMeta = 4, ErrUnsup = 0x80000001, ErrPolicy = 0x80000002, ErrInvalid = 0x80000003, ErrUnknown = 0x80000006;
    public const ushort Read = 0, Write = 1, Disc = 2, Flush = 3, Trim = 4, Cache = 5, Zeroes = 6, Status = 7, GuestBarrier = 0x4742;
    public const ushort Fua = 1, NoHole = 2, Df = 4, ReqOne = 8, FastZero = 16;
    public const uint EPERM = 1, EIO = 5, EINVAL = 22, ENOSPC = 28, EOVERFLOW = 75, ENOTSUP = 95, ESHUTDOWN = 108;

    private ulong _cookie = 1000;

    public Socket Socket => socket;

    public ushort ServerFlags { get; private set; }

    public ulong ExportSize { get; private set; }

    public ushort ExportFlags { get; private set; }

    public void Greet(uint clientFlags = 3)
    {
        byte[] greeting = Receive(18);
        Assert.Equal("NBDMAGICIHAVEOPT", Encoding.ASCII.GetString(greeting, 0, 16));
        ServerFlags = BinaryPrimitives.ReadUInt16BigEndian(greeting.AsSpan(16));
        Send(Big(clientFlags));
    }

    public void SendOption(uint option, params byte[][] data)
    {
        byte[] payload = Join(data);
        Send(Join(Encoding.ASCII.GetBytes("IHAVEOPT"), Big(option), Big((uint)payload.Length), payload));
    }

    public (uint Type, byte[] Data) ReceiveOptionReply(uint option)
    {
        byte[] header = Receive(20);
        Assert.Equal(0x0003e889045565a9UL, BinaryPrimitives.ReadUInt64BigEndian(header));
        Assert.Equal(option, BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(8)));
        return (BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(12)), Receive(BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(16))));
    }

    /// <summary>All replies to an option, the last one an ACK or an error.</summary>
    public List<(uint Type, byte[] Data)> Ask(uint option, params byte[][] data)
    {
        SendOption(option, data);
        var replies = new List<(uint Type, byte[] Data)>();
        do replies.Add(ReceiveOptionReply(option));
        while (replies[^1].Type is RepServer or RepInfo or RepMeta);
        return replies;
    }

    public void NegotiateStructured() => Assert.Equal(RepAck, Ask(OptStructured)[^1].Type);

    public List<(uint Type, byte[] Data)> SetContexts(string export, params string[] contexts) =>
        Ask(OptSetMeta, Text(export), Big((uint)contexts.Length), Join([.. contexts.Select(Text)]));

    public List<(uint Type, byte[] Data)> Info(uint option, string export, params ushort[] infos)
    {
        List<(uint Type, byte[] Data)> replies = Ask(option, Text(export), Big((ushort)infos.Length), Join([.. infos.Select(Big)]));
        foreach ((uint type, byte[] data) in replies.Where(reply => reply.Type == RepInfo && reply.Data[1] == 0))
        {
            ExportSize = BinaryPrimitives.ReadUInt64BigEndian(data.AsSpan(2));
            ExportFlags = BinaryPrimitives.ReadUInt16BigEndian(data.AsSpan(10));
        }

        return replies;
    }

    public void Go(string export) => Assert.Equal(RepAck, Info(OptGo, export)[^1].Type);

    public ulong Request(ushort command, ulong offset, uint length, ushort flags = 0, byte[]? payload = null)
    {
        ulong cookie = _cookie++;
        Send(Join(RequestBytes(command, offset, length, flags, cookie), payload ?? []));
        return cookie;
    }

    public static byte[] RequestBytes(ushort command, ulong offset, uint length, ushort flags, ulong cookie) =>
        Join(Big(0x25609513u), Big(flags), Big(command), Big(cookie), Big(offset), Big(length));

    /// <summary>A simple reply's error.</summary>
    public uint ReceiveSimple(ulong cookie)
    {
        (uint error, ulong answered) = ReceiveAnySimple();
        Assert.Equal(cookie, answered);
        return error;
    }

    public (uint Error, ulong Cookie) ReceiveAnySimple()
    {
        byte[] reply = Receive(16);
        Assert.Equal(0x67446698u, BinaryPrimitives.ReadUInt32BigEndian(reply));
        return (BinaryPrimitives.ReadUInt32BigEndian(reply.AsSpan(4)), BinaryPrimitives.ReadUInt64BigEndian(reply.AsSpan(8)));
    }

    public (ushort Flags, ushort Type, ulong Cookie, byte[] Payload) ReceiveChunk()
    {
        byte[] header = Receive(20);
        Assert.Equal(0x668e33efu, BinaryPrimitives.ReadUInt32BigEndian(header));
        return (BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(4)), BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(6)),
            BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(8)), Receive(BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(16))));
    }

    /// <summary>One request without a payload in its reply.</summary>
    public uint Do(ushort command, ulong offset, uint length, ushort flags = 0, byte[]? payload = null) =>
        ReceiveSimple(Request(command, offset, length, flags, payload));

    /// <summary>A structured read that must succeed.</summary>
    public byte[] ReadBytes(ulong offset, uint length, ushort flags = 0)
    {
        ulong cookie = Request(Read, offset, length, flags);
        (ulong start, byte[] data, int chunks) = ReceiveReads(1)[cookie];
        Assert.Equal(offset, start);
        if ((flags & Df) != 0) Assert.Equal(1, chunks);
        return data;
    }

    /// <summary>The replies of so many structured reads, by cookie; chunks of different reads may come in any order.</summary>
    public Dictionary<ulong, (ulong Offset, byte[] Data, int Chunks)> ReceiveReads(int count)
    {
        var chunks = new Dictionary<ulong, List<(ulong Offset, byte[] Data)>>();
        for (int done = 0; done < count;)
        {
            (ushort flags, ushort type, ulong cookie, byte[] payload) = ReceiveChunk();
            Assert.Equal(1, type);
            if (!chunks.TryGetValue(cookie, out var parts)) chunks[cookie] = parts = [];
            parts.Add((BinaryPrimitives.ReadUInt64BigEndian(payload), payload[8..]));
            done += flags & 1;
        }

        return chunks.ToDictionary(entry => entry.Key, entry => Assemble(entry.Value));
    }

    private static (ulong Offset, byte[] Data, int Chunks) Assemble(List<(ulong Offset, byte[] Data)> parts)
    {
        parts.Sort((one, other) => one.Offset.CompareTo(other.Offset));
        for (int i = 1; i < parts.Count; i++) Assert.Equal(parts[i - 1].Offset + (ulong)parts[i - 1].Data.Length, parts[i].Offset);
        return (parts[0].Offset, Join([.. parts.Select(part => part.Data)]), parts.Count);
    }

    /// <summary>A structured request that must fail: the error of its error chunk.</summary>
    public uint ReceiveErrorChunk(ulong cookie)
    {
        (ushort flags, ushort type, ulong answered, byte[] payload) = ReceiveChunk();
        Assert.Equal((1, 0x8001, cookie), (flags, type, answered));
        Assert.Equal(6 + BinaryPrimitives.ReadUInt16BigEndian(payload.AsSpan(4)), payload.Length);
        return BinaryPrimitives.ReadUInt32BigEndian(payload);
    }

    public byte[] Receive(int length)
    {
        byte[] bytes = new byte[length];
        for (int done = 0; done < length;)
        {
            int received = socket.Receive(bytes, done, length - done, SocketFlags.None);
            if (received == 0) throw new EndOfStreamException($"closed by the server after {done} of {length} bytes");
            done += received;
        }

        return bytes;
    }

    public void Send(byte[] bytes)
    {
        for (int done = 0; done < bytes.Length;) done += socket.Send(bytes, done, bytes.Length - done, SocketFlags.None);
    }

    /// <summary>Whether the server has closed the connection, whatever it said before.</summary>
    public bool IsClosedByServer()
    {
        byte[] rest = new byte[4096];
        try
        {
            while (socket.Receive(rest) > 0)
            {
            }

            return true;
        }
        catch (SocketException failure)
        {
            return failure.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown;
        }
    }

    public void Dispose() => socket.Dispose();

    public static byte[] Text(string text) => Join(Big((uint)Encoding.UTF8.GetByteCount(text)), Encoding.UTF8.GetBytes(text));

    public static byte[] Join(params byte[][] parts) => [.. parts.SelectMany(part => part)];

    public static byte[] Big(ushort value) => [(byte)(value >> 8), (byte)value];

    public static byte[] Big(uint value) => [(byte)(value >> 24), (byte)(value >> 16), (byte)(value >> 8), (byte)value];

    public static byte[] Big(ulong value) => Join(Big((uint)(value >> 32)), Big((uint)value));
}
