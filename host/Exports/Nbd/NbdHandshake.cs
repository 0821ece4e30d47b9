using System.Buffers.Binary;
using System.Text;

namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>What a handshake led to.</summary>
/// <param name="Export">The chosen export.</param>
/// <param name="IsStructured">Structured replies were negotiated.</param>
/// <param name="Contexts">Metadata contexts of this export.</param>
/// <param name="HasBarriers">The client may send barriers (docs/guest-barriers.md).</param>
internal sealed record NbdAgreement(NbdExport Export, bool IsStructured, NbdMetaContexts Contexts, bool HasBarriers);

/// <summary>The handshake: fixed newstyle, one option after the other, each answered. Runs on the connection's thread.</summary>
internal sealed class NbdHandshake
{
    private const string BaseAllocation = "base:allocation";
    private const string AllocationDepth = "qemu:allocation-depth";

    private readonly NbdConnection _connection;
    private readonly NbdServer _server;
    private readonly ReceiveBuffer _receive;
    private readonly NbdOptionWriter _writer;
    private bool _noZeroes, _structured;
    private NbdMetaContexts _contexts;
    private NbdExport? _contextsOf;
    private NbdExport? _barriersOf;
    private NbdAgreement? _agreed;

    public NbdHandshake(NbdConnection connection, NbdServer server, ReceiveBuffer receive)
    {
        _connection = connection;
        _server = server;
        _receive = receive;
        _writer = new NbdOptionWriter(connection.Descriptor);
    }

    /// <summary>Talks until an export is agreed on.</summary>
    /// <returns><see langword="null"/> when the client left, or was rejected.</returns>
    public NbdAgreement? Run()
    {
        if (!_writer.SendGreeting() || !_receive.FillTo(sizeof(uint))) return null;
        uint flags = BinaryPrimitives.ReadUInt32BigEndian(_receive.Peek(sizeof(uint)));
        _receive.Consume(sizeof(uint));
        if ((flags & ~(uint)NbdProtocol.HandshakeFlags) != 0 || (flags & NbdProtocol.FixedNewstyle) == 0)
        {
            _connection.Reject($"client flags 0x{flags:x}");
            return null;
        }

        _noZeroes = (flags & NbdProtocol.NoZeroes) != 0;
        for (int options = 0; options < _server.Limits.MaxOptions; options++)
        {
            if (!ServeOption()) return null;
            if (_agreed is not null) return _agreed;
        }

        _connection.Reject($"more than {_server.Limits.MaxOptions} options");
        return null;
    }

    private bool ServeOption()
    {
        if (!_receive.FillTo(NbdProtocol.OptionHeaderBytes)) return false;
        ReadOnlySpan<byte> header = _receive.Peek(NbdProtocol.OptionHeaderBytes);
        ulong magic = BinaryPrimitives.ReadUInt64BigEndian(header);
        var option = (NbdOption)BinaryPrimitives.ReadUInt32BigEndian(header[8..]);
        uint length = BinaryPrimitives.ReadUInt32BigEndian(header[12..]);
        if (magic != NbdProtocol.OptionMagic) return _connection.Reject($"option with magic 0x{magic:x16}");
        if (length > _server.Limits.MaxOptionBytes) return _connection.Reject($"option {(uint)option} of {length} bytes");

        _receive.Consume(NbdProtocol.OptionHeaderBytes);
        if (!_receive.FillTo((int)length)) return false;
        bool goesOn = Answer(option, _receive.Peek((int)length));
        _receive.Consume((int)length);
        return goesOn && _writer.Flush();
    }

    private bool Answer(NbdOption option, ReadOnlySpan<byte> data)
    {
        switch (option)
        {
            case NbdOption.ExportName:
                return AnswerExportName(data);
            case NbdOption.Abort:
                _writer.Reply(option, NbdOptionReply.Ack);
                _writer.Flush();
                return false;
            case NbdOption.List:
                AnswerList(data);
                return true;
            case NbdOption.Info or NbdOption.Go:
                AnswerInfo(option, data);
                return true;
            case NbdOption.StructuredReply:
                _structured |= data.IsEmpty;
                _writer.Reply(option, data.IsEmpty ? NbdOptionReply.Ack : NbdOptionReply.ErrorInvalid);
                return true;
            case NbdOption.ListMetaContext or NbdOption.SetMetaContext:
                AnswerMetaContext(option, data);
                return true;
            case NbdOption.GuestBarriers:
                AnswerGuestBarriers(data);
                return true;
            default:
                _writer.Reply(option, NbdOptionReply.ErrorUnsupported);
                return true;
        }
    }

    // The one option whose refusal is a closed connection.
    private bool AnswerExportName(ReadOnlySpan<byte> name)
    {
        NbdExport? export = name.Length <= NbdProtocol.MaxStringBytes ? _server.FindExport(Encoding.UTF8.GetString(name)) : null;
        if (export is null) return _connection.Reject("EXPORT_NAME of an unknown export");
        _writer.ExportNameReply(export.Disk.Length, export.FlagsFor(_structured), _noZeroes);
        Agree(export);
        return true;
    }

    private void AnswerList(ReadOnlySpan<byte> data)
    {
        if (!data.IsEmpty)
        {
            _writer.Reply(NbdOption.List, NbdOptionReply.ErrorInvalid);
            return;
        }

        foreach (NbdExport export in _server.Exports)
        {
            byte[] name = Encoding.UTF8.GetBytes(export.Name);
            byte[] description = Encoding.UTF8.GetBytes(export.Description);
            byte[] payload = new byte[sizeof(uint) + name.Length + description.Length];
            BinaryPrimitives.WriteInt32BigEndian(payload, name.Length);
            name.CopyTo(payload, sizeof(uint));
            description.CopyTo(payload, sizeof(uint) + name.Length);
            _writer.Reply(NbdOption.List, NbdOptionReply.Server, payload);
        }

        _writer.Reply(NbdOption.List, NbdOptionReply.Ack);
    }

    private void AnswerInfo(NbdOption option, ReadOnlySpan<byte> data)
    {
        var reader = new NbdOptionReader(data);
        if (!reader.TryReadString(out string name) || !reader.TryReadUInt16(out ushort count) || reader.Left != count * sizeof(ushort))
        {
            _writer.Reply(option, NbdOptionReply.ErrorInvalid);
            return;
        }

        NbdExport? export = _server.FindExport(name);
        if (export is null)
        {
            _writer.Reply(option, NbdOptionReply.ErrorUnknown);
            return;
        }

        _writer.ExportInfo(option, export.Disk.Length, export.FlagsFor(_structured));
        for (int i = 0; i < count; i++)
        {
            reader.TryReadUInt16(out ushort info);
            switch ((NbdInfo)info)
            {
                case NbdInfo.Name:
                    _writer.TextInfo(option, NbdInfo.Name, export.Name);
                    break;
                case NbdInfo.Description when export.Description.Length > 0:
                    _writer.TextInfo(option, NbdInfo.Description, export.Description);
                    break;
                case NbdInfo.BlockSize:
                    _writer.BlockSizeInfo(option, export.PreferredBlockSize);
                    break;
            }
        }

        _writer.Reply(option, NbdOptionReply.Ack);
        if (option == NbdOption.Go) Agree(export);
    }

    private void AnswerMetaContext(NbdOption option, ReadOnlySpan<byte> data)
    {
        // A failed SET leaves no context selected.
        bool isSet = option == NbdOption.SetMetaContext;
        if (isSet) (_contexts, _contextsOf) = (NbdMetaContexts.None, null);

        NbdMetaContexts matched = NbdMetaContexts.None;
        var reader = new NbdOptionReader(data);
        if (!reader.TryReadString(out string name) || !reader.TryReadUInt32(out uint count) || count > _server.Limits.MaxMetaQueries || !_structured)
        {
            _writer.Reply(option, NbdOptionReply.ErrorInvalid);
            return;
        }

        for (uint i = 0; i < count; i++)
        {
            if (!reader.TryReadString(out string query))
            {
                _writer.Reply(option, NbdOptionReply.ErrorInvalid);
                return;
            }

            matched |= Match(query, wildcards: !isSet);
        }

        if (reader.Left > 0 || _server.FindExport(name) is not { } export)
        {
            _writer.Reply(option, reader.Left > 0 ? NbdOptionReply.ErrorInvalid : NbdOptionReply.ErrorUnknown);
            return;
        }

        if (count == 0 && !isSet) matched = NbdMetaContexts.BaseAllocation | NbdMetaContexts.AllocationDepth;
        if (isSet) (_contexts, _contextsOf) = (matched, export);
        if (matched.HasFlag(NbdMetaContexts.BaseAllocation)) _writer.MetaContext(option, isSet, NbdMetaContexts.BaseAllocation, BaseAllocation);
        if (matched.HasFlag(NbdMetaContexts.AllocationDepth)) _writer.MetaContext(option, isSet, NbdMetaContexts.AllocationDepth, AllocationDepth);
        _writer.Reply(option, NbdOptionReply.Ack);
    }

    // As a metadata context: of one export, the last request counts, and one that fails takes back what an earlier one was granted.
    private void AnswerGuestBarriers(ReadOnlySpan<byte> data)
    {
        _barriersOf = null;
        var reader = new NbdOptionReader(data);
        if (!reader.TryReadString(out string name) || reader.Left > 0)
        {
            _writer.Reply(NbdOption.GuestBarriers, NbdOptionReply.ErrorInvalid);
        }
        else if (_server.FindExport(name) is not { } export)
        {
            _writer.Reply(NbdOption.GuestBarriers, NbdOptionReply.ErrorUnknown);
        }
        else if (!export.Disk.CanOrder)
        {
            _writer.Reply(NbdOption.GuestBarriers, NbdOptionReply.ErrorPolicy, export.Disk.IsReadOnly ? "the export is read-only"u8 : "the export's format cannot order writes without a flush"u8);
        }
        else
        {
            _barriersOf = export;
            _writer.Reply(NbdOption.GuestBarriers, NbdOptionReply.Ack);
        }
    }

    // "base:" and "qemu:" ask what there is in a namespace; they select nothing.
    private static NbdMetaContexts Match(string query, bool wildcards) => query switch
    {
        BaseAllocation => NbdMetaContexts.BaseAllocation,
        AllocationDepth => NbdMetaContexts.AllocationDepth,
        "base:" when wildcards => NbdMetaContexts.BaseAllocation,
        "qemu:" when wildcards => NbdMetaContexts.AllocationDepth,
        _ => NbdMetaContexts.None,
    };

    private void Agree(NbdExport export)
    {
        NbdMetaContexts contexts = ReferenceEquals(export, _contextsOf) ? _contexts : NbdMetaContexts.None;
        _agreed = new NbdAgreement(export, _structured, contexts, HasBarriers: ReferenceEquals(export, _barriersOf));
    }
}
