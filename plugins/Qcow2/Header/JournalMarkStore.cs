using System.Buffers.Binary;
using System.Text;

namespace StoragePlugins.Qcow2.Header;

/// <summary>Sets and clears a journal's mark in the header, so that every crash on the way leaves a header that reads as before or as after.</summary>
/// <remarks>
/// <para>The new extensions (a second feature-name table, which holds over the first, and ours) are written behind the end marker, where nobody
/// looks, and made durable. Then one write of the first sector turns the end marker into the first of them and sets both bits. A backing file's
/// name that stands in the way is copied further back first. Only the extension's slots change while the mark is set.</para>
/// <para>Writes go to the storage itself, not through a journal. Not thread-safe.</para>
/// </remarks>
internal sealed class JournalMarkStore
{
    private readonly Qcow2Header _header;
    private readonly IStorageMedium _storage;
    private readonly Action _flush;

    /// <summary>Where our chain of extensions begins (the place of the old end marker), 0 when there is none.</summary>
    private int _chain;

    /// <summary>Where our extension's slots begin.</summary>
    private int _slots;
    private int _end;
    private int _backingFile;

    /// <summary>Reads what the header says.</summary>
    /// <param name="header">The header; its feature bits are kept in step.</param>
    /// <param name="storage">The image.</param>
    /// <param name="flush">Makes what was written to it durable.</param>
    public JournalMarkStore(Qcow2Header header, IStorageMedium storage, Action flush)
    {
        _header = header;
        _storage = storage;
        _flush = flush;
        (_end, _backingFile) = (header.Places.End, header.Places.BackingFile);
        Locate(header.Places.Extensions);
        if (IsSet && header.JournalExtension is { } extension) Current = JournalMark.Newest(extension.Span);
    }

    /// <summary>Whether the image is marked.</summary>
    public bool IsSet => (_header.IncompatibleFeatures & Qcow2Features.JournalInUse) != 0;

    /// <summary>False when a program that ignores the mark has written to the image since.</summary>
    public bool IsTrustworthy => (_header.AutoclearFeatures & Qcow2Features.JournalValid) != 0;

    /// <summary>The mark; <see langword="null"/> when it is clear, or set and unreadable.</summary>
    public JournalMark? Current { get; private set; }

    /// <summary>Why this image cannot be marked; <see langword="null"/> when it can.</summary>
    public string? WhyNot
    {
        get
        {
            if (_header.Version < 3) return "version 2 of qcow2 has no feature bits";
            if (_chain != 0 || _slots != 0) return null;
            // Such a name is read as an extension as soon as it stands elsewhere.
            if (_header.BackingFile is not null && _end + 8 > _backingFile) return "the header's extensions have no end marker";
            int name = _header.BackingFile is null ? 0 : Encoding.UTF8.GetByteCount(_header.BackingFile);
            int needed = name == 0 ? _end + TailBytes : PlaceOfName(name) + name;
            return needed <= _header.ClusterSize ? null : $"the header's cluster of {_header.ClusterSize} bytes has no room for the journal's {TailBytes} bytes";
        }
    }

    private IReadOnlyList<FeatureName> Names => [.. _header.FeatureNames.Where(n => n.Bit != Qcow2Features.JournalBit), .. Qcow2Features.JournalNames];

    private int TailBytes => 8 + (48 * Names.Count) + 8 + JournalMark.ExtensionBytes + 8;

    /// <summary>Sets the mark, or replaces it by one of a higher epoch. Durable on return.</summary>
    public void Set(JournalMark mark)
    {
        // Left by a crash in Clear, or kept by a program that rewrote the header.
        if (!IsSet && _chain != 0) RemoveChain();
        if (_slots == 0)
        {
            Append(mark);
        }
        else
        {
            // A clear mark's slots are nobody's: what an earlier journal left there, of a higher epoch, must not win.
            byte[] slots = new byte[JournalMark.ExtensionBytes];
            int at = mark.Slot * JournalMark.SlotBytes;
            mark.Encode(slots.AsSpan(at));
            if (IsSet) _storage.Write(_slots + at, slots.AsSpan(at, JournalMark.SlotBytes), ContentClass.Header);
            else _storage.Write(_slots, slots, ContentClass.Header);
            _flush();
            if (!IsSet) WriteFirstSector(set: true, [], 0);
        }

        Current = mark;
    }

    /// <summary>Clears the mark and takes our extensions out of the header. Durable on return.</summary>
    public void Clear()
    {
        bool together = _chain is > 0 and < Qcow2Layout.SectorBytes;
        Span<byte> end = stackalloc byte[8];
        end.Clear();
        WriteFirstSector(set: false, end, together ? _chain : 0);
        if (together) Forget();
        else if (_chain != 0) RemoveChain();
        Current = null;
    }

    /// <summary>Finds our extension, and the table of names before it that came with it.</summary>
    private void Locate(IReadOnlyList<(uint Type, int Offset)> extensions)
    {
        int index = -1;
        for (int i = 0; i < extensions.Count; i++)
        {
            if (extensions[i].Type == Qcow2Layout.ExtensionJournal) index = i;
        }

        if (index < 0 || _header.JournalExtension is not { Length: >= JournalMark.ExtensionBytes }) return;
        _slots = extensions[index].Offset + 8;
        // What stands behind ours would be cut off with it; then ours stays, without the bits nobody heeds it.
        if (index != extensions.Count - 1) return;
        bool hasTable = index > 0 && extensions[index - 1].Type == Qcow2Layout.ExtensionFeatureNames
            && extensions.Take(index - 1).Any(e => e.Type == Qcow2Layout.ExtensionFeatureNames);
        _chain = extensions[hasTable ? index - 1 : index].Offset;
    }

    private void Append(JournalMark mark)
    {
        MakeWay();
        byte[] tail = new byte[TailBytes];
        int at = Qcow2Header.WriteFeatureNames(tail, 0, Names);
        BinaryPrimitives.WriteUInt32BigEndian(tail.AsSpan(at), Qcow2Layout.ExtensionJournal);
        BinaryPrimitives.WriteInt32BigEndian(tail.AsSpan(at + 4), JournalMark.ExtensionBytes);
        mark.Encode(tail.AsSpan(at + 8 + (mark.Slot * JournalMark.SlotBytes)));
        _storage.Write(_end + 8, tail.AsSpan(8), ContentClass.Header);
        _flush();

        if (_end < Qcow2Layout.SectorBytes)
        {
            WriteFirstSector(set: true, tail.AsSpan(0, 8), _end);
        }
        else
        {
            _storage.Write(_end, tail.AsSpan(0, 8), ContentClass.Header);
            _flush();
            WriteFirstSector(set: true, [], 0);
        }

        (_chain, _slots) = (_end, _end + at + 8);
        _end += tail.Length - 8;
    }

    // Never over the present copy, which counts until the field points elsewhere.
    private int PlaceOfName(int length) => _backingFile >= _end + TailBytes ? _backingFile : Math.Max(_end + TailBytes, _backingFile + length);

    /// <summary>Copies a backing file's name that stands where the extensions must go.</summary>
    private void MakeWay()
    {
        if (_header.BackingFile is null || _backingFile >= _end + TailBytes) return;
        byte[] name = Encoding.UTF8.GetBytes(_header.BackingFile);
        int place = PlaceOfName(name.Length);
        if (place + name.Length > _header.ClusterSize)
            throw new StorageException(StorageError.NoSpace, "mark", _storage.Name, place, name.Length, "the header's cluster has no room to move the backing file's name");
        _storage.Write(place, name, ContentClass.Header);
        _flush();
        Span<byte> field = stackalloc byte[8];
        BinaryPrimitives.WriteInt64BigEndian(field, place);
        _storage.Write(Qcow2Layout.BackingFileOffsetField, field, ContentClass.Header);
        _flush();
        _backingFile = place;
    }

    /// <summary>Changes both bits and eight bytes of the first sector in one write. Durable on return.</summary>
    private void WriteFirstSector(bool set, ReadOnlySpan<byte> bytes, int at)
    {
        Span<byte> sector = stackalloc byte[Qcow2Layout.SectorBytes];
        int got = _storage.Read(0, sector);
        _header.IncompatibleFeatures = set ? _header.IncompatibleFeatures | Qcow2Features.JournalInUse : _header.IncompatibleFeatures & ~Qcow2Features.JournalInUse;
        _header.AutoclearFeatures = set ? _header.AutoclearFeatures | Qcow2Features.JournalValid : _header.AutoclearFeatures & ~Qcow2Features.JournalValid;
        BinaryPrimitives.WriteUInt64BigEndian(sector[Qcow2Layout.IncompatibleFeaturesOffset..], _header.IncompatibleFeatures);
        BinaryPrimitives.WriteUInt64BigEndian(sector[Qcow2Layout.AutoclearFeaturesOffset..], _header.AutoclearFeatures);
        if (at != 0) bytes.CopyTo(sector[at..]);
        _storage.Write(0, sector[..got], ContentClass.Header);
        _flush();
    }

    private void RemoveChain()
    {
        _storage.Write(_chain, new byte[8], ContentClass.Header);
        _flush();
        Forget();
    }

    /// <summary>Our extensions are cut off: what they held is overwritten, so that nothing foreign stays in the header.</summary>
    private void Forget()
    {
        _storage.Write(_chain + 8, new byte[_end - _chain], ContentClass.Header);
        _end = _chain;
        (_chain, _slots) = (0, 0);
    }
}
