using System.Buffers.Binary;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Check;

/// <summary>What the superblock and its copy say, and the two words that change.</summary>
internal sealed class SuperblockCheck
{
    private readonly CheckedRegion _region;
    private readonly byte[] _first = new byte[PmLayout.SuperblockBytes];
    private readonly byte[] _copy = new byte[PmLayout.SuperblockBytes];
    private Geometry? _fromFirst;
    private Geometry? _fromCopy;

    private SuperblockCheck(CheckedRegion region) => _region = region;

    /// <summary>Where everything lies; <see langword="null"/> when neither of the two can be believed.</summary>
    public Geometry? Geometry => _fromFirst ?? _fromCopy;

    /// <summary>Records up to this one are home; <see langword="null"/> when the word is damaged.</summary>
    public ulong? Floor { get; private set; }

    /// <summary>Whether the image was not closed; <see langword="null"/> when the word is damaged.</summary>
    public bool? IsInUse { get; private set; }

    /// <summary>Reads both and the words, and says what is wrong with them.</summary>
    public static SuperblockCheck Run(CheckedRegion region, CheckFindings findings)
    {
        var check = new SuperblockCheck(region);
        region.Read(0, check._first);
        string? first = check.Judge(check._first, out check._fromFirst);
        long place = check.PlaceOfCopy();
        string? copy = "the medium is too short for one";
        if (place > 0)
        {
            region.Read(place, check._copy);
            copy = check.Judge(check._copy, out check._fromCopy);
            if (check._fromCopy is { } found && found.Length - PmLayout.BlockBytes != place) (check._fromCopy, copy) = (null, "it is in the wrong place");
        }

        if (first is not null) findings.Corruption($"superblock: {first}{(check._fromCopy is null ? "" : "; its copy is intact")}");
        if (copy is not null) findings.Corruption($"copy of the superblock, block {place >> PmLayout.BlockShift}: {copy}");
        else if (first is null && !check._first.AsSpan().SequenceEqual(check._copy)) findings.Corruption($"copy of the superblock, block {place >> PmLayout.BlockShift}: it says something else than the superblock");
        if (check.Geometry is not null) check.ReadWords(findings);
        return check;
    }

    /// <summary>Mends what follows from the rest. Returns whether anything was to be done.</summary>
    /// <param name="newestRecord">Finds the highest sequence number of the journal's records.</param>
    public bool Mend(Func<ulong> newestRecord) => MendCopies() | MendWords(newestRecord);

    // A recovery that has nothing to do does no harm, so that a state that cannot be read becomes "in use". Of an image that was closed everything is home.
    private bool MendWords(Func<ulong> newestRecord)
    {
        if (Geometry is null || (IsInUse is not null && Floor is not null) || (IsInUse != false && Floor is null)) return false;
        if (Floor is null) WriteWord(PmLayout.FloorOffset, StateWords.PackFloor(newestRecord()));
        else WriteWord(PmLayout.StateOffset, StateWords.PackState(_region.ReadWord(PmLayout.StateOffset) >> 24, inUse: true));
        return true;
    }

    private void WriteWord(long offset, ulong word)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, word);
        _region.Write(offset, bytes, ContentClass.Header);
    }

    // The two are made one again, from the one that is intact.
    private bool MendCopies()
    {
        if (Geometry is not { } geometry || _first.AsSpan().SequenceEqual(_copy)) return false;
        if (_fromFirst is null) _region.Write(0, _copy, ContentClass.Header);
        else _region.Write(geometry.Length - PmLayout.BlockBytes, _first, ContentClass.Header);
        return true;
    }

    private string? Judge(ReadOnlySpan<byte> bytes, out Geometry? geometry)
    {
        try
        {
            geometry = Layout.Geometry.Read(_region.Name, bytes, _region.Length);
            return null;
        }
        catch (DiagnosticException e)
        {
            geometry = null;
            return e.Message;
        }
    }

    // Where the superblock says that the region ends, also where only its checksum is wrong; otherwise at the medium's end.
    private long PlaceOfCopy()
    {
        long length = BinaryPrimitives.ReadInt64LittleEndian(_first.AsSpan(48));
        bool isPlausible = length >= PmLayout.LeastRegionBytes && length <= _region.Length && length % PmLayout.BlockBytes == 0;
        if (_fromFirst is null && isPlausible && !StartsWithMagic(length - PmLayout.BlockBytes)) isPlausible = false;
        return (isPlausible ? length : _region.Length / PmLayout.BlockBytes * PmLayout.BlockBytes) - PmLayout.BlockBytes;
    }

    private bool StartsWithMagic(long offset)
    {
        Span<byte> start = stackalloc byte[8];
        _region.Read(offset, start);
        return start.SequenceEqual(PmLayout.Magic);
    }

    private void ReadWords(CheckFindings findings)
    {
        ulong floor = _region.ReadWord(PmLayout.FloorOffset), state = _region.ReadWord(PmLayout.StateOffset);
        if (StateWords.TryUnpackFloor(floor, out ulong sequence)) Floor = sequence;
        else findings.Corruption($"superblock: the floor's checksum is wrong: 0x{floor:x16}; which records of the journal matter is not known");
        if (StateWords.TryUnpackState(state, out _, out bool isInUse)) IsInUse = isInUse;
        else findings.Corruption($"superblock: the state's checksum is wrong: 0x{state:x16}");
    }
}
