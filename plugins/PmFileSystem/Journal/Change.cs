using System.Buffers.Binary;

namespace StoragePlugins.PmFileSystem.Journal;

/// <summary>Kinds of changes in a journal record.</summary>
internal enum ChangeKind
{
    Set = 1,
    Fill = 2,
    Ascend = 3,
    TakeBlocks = 4,
    GiveBackBlocks = 5,
    TakeInodes = 6,
    GiveBackInodes = 7,
    Orphan = 8,
    NoOrphan = 9,
}

/// <summary>One change of a record: a word that says what, and the bytes behind it.</summary>
internal readonly ref struct Change
{
    public const int MostCount = ushort.MaxValue;

    private Change(ulong word, ReadOnlySpan<byte> data)
    {
        Kind = (ChangeKind)(word & 15);
        Count = (int)((word >> 4) & 0xffff);
        Place = (long)(word >> 20);
        Data = data;
    }

    public ChangeKind Kind { get; }

    public int Count { get; }

    public long Place { get; }

    public ReadOnlySpan<byte> Data { get; }

    public static ulong Pack(ChangeKind kind, int count, long place) => (ulong)kind | ((ulong)count << 4) | ((ulong)place << 20);

    /// <summary>Takes the next change off the front of a record's body.</summary>
    /// <returns>False at its end, and when the rest makes no sense: then <paramref name="rest"/> is not empty.</returns>
    public static bool TryTake(ref ReadOnlySpan<byte> rest, out Change change)
    {
        change = default;
        if (rest.Length < sizeof(ulong)) return false;
        ulong word = BinaryPrimitives.ReadUInt64LittleEndian(rest);
        int count = (int)((word >> 4) & 0xffff);
        int data = (ChangeKind)(word & 15) switch
        {
            ChangeKind.Set => count,
            ChangeKind.Fill or ChangeKind.Ascend => sizeof(ulong),
            >= ChangeKind.TakeBlocks and <= ChangeKind.NoOrphan => 0,
            _ => int.MaxValue,
        };
        if (count == 0 || data > rest.Length - sizeof(ulong) || data % sizeof(ulong) != 0) return false;
        change = new Change(word, rest.Slice(sizeof(ulong), data));
        rest = rest[(sizeof(ulong) + data)..];
        return true;
    }
}
