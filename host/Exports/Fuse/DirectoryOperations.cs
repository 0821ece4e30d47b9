using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>Listings of directories.</summary>
/// <remarks>
/// Positions of the wire: 0 is the start, 1 is behind ".", 2 is behind ".."; behind an entry it is the tree's cursor and 2 more, so that no cursor is
/// taken for another one.
/// </remarks>
internal sealed class DirectoryOperations(MountedTree mounted)
{
    private const ulong BehindSelf = 1;
    private const ulong BehindParent = 2;

    private readonly IFileTree _tree = mounted.Tree;

    public int Read(ref FuseCall call, DirectoryListing listing, bool withAttributes)
    {
        if (!call.TryTake(out ReadRequest request)) return Errno.Io;
        ulong node = mounted.NodeOf(call.Header.Node), position = request.Offset;
        listing.Begin(mounted, (int)Math.Min(request.Size, FuseProtocol.MaxPayloadBytes), withAttributes);
        if (position < BehindSelf)
        {
            if (!listing.Add("."u8, node, NodeKind.Directory, BehindSelf)) return (int)FileError.InvalidArgument;
            position = BehindSelf;
        }

        FileError error;
        if (position < BehindParent)
        {
            error = _tree.GetParent(node, out ulong parent);
            if (error != FileError.None) return (int)error;
            if (listing.Add(".."u8, parent, NodeKind.Directory, BehindParent)) position = BehindParent;
        }

        error = position < BehindParent ? FileError.None : _tree.ReadDirectory(node, position - BehindParent, listing);
        if (error != FileError.None) return (int)error;
        if (listing.IsCursorTooLarge) return Errno.Overflow;
        if (withAttributes) AddAttributes(node, listing.Entries);
        call.Advance(listing.Entries.Length);
        return 0;
    }

    /// <summary>The tree's cursor as a position of the wire; null when it is too large for one.</summary>
    public static ulong? PositionOf(ulong cursor) => cursor <= long.MaxValue - BehindParent ? cursor + BehindParent : null;

    // After the listing, for no call of the tree may be made from inside it. What is gone since, or cannot be read, stays an entry without attributes:
    // the kernel asks for it when somebody wants it, and is told then what is the matter.
    private void AddAttributes(ulong directory, Span<byte> entries)
    {
        while (entries.Length > 0)
        {
            ref EntryReply reply = ref MemoryMarshal.AsRef<EntryReply>(entries);
            Span<byte> entry = entries[Unsafe.SizeOf<EntryReply>()..];
            ref DirectoryEntry fields = ref MemoryMarshal.AsRef<DirectoryEntry>(entry);
            Span<byte> name = entry.Slice(Unsafe.SizeOf<DirectoryEntry>(), (int)fields.NameLength);
            try
            {
                if (fields.Offset > BehindParent && _tree.Lookup(directory, name, out NodeAttributes node) == FileError.None) mounted.Describe(node, out reply);
            }
            catch (StorageException)
            {
                return;
            }

            entries = entries[DirectoryListing.BytesOf(name.Length, withAttributes: true)..];
        }
    }
}

/// <summary>Gathers a directory's entries in a thread's reply.</summary>
/// <remarks>By one thread. It belongs to the memory that it was made over.</remarks>
internal sealed unsafe class DirectoryListing(byte* room) : IDirectoryVisitor
{
    private MountedTree? _mounted;
    private int _capacity;
    private int _length;
    private bool _withAttributes;

    /// <summary>What was gathered.</summary>
    public Span<byte> Entries => new(room, _length);

    /// <summary>A cursor of the tree has no place in the protocol.</summary>
    public bool IsCursorTooLarge { get; private set; }

    /// <summary>Bytes of an entry with its padding.</summary>
    public static int BytesOf(int nameLength, bool withAttributes) =>
        (((withAttributes ? sizeof(EntryReply) : 0) + sizeof(DirectoryEntry) + nameLength + 7) / 8) * 8;

    /// <summary>Starts anew.</summary>
    public void Begin(MountedTree mounted, int capacity, bool withAttributes)
    {
        (_mounted, _capacity, _withAttributes, _length) = (mounted, capacity, withAttributes, 0);
        IsCursorTooLarge = false;
    }

    /// <inheritdoc/>
    public bool Visit(ReadOnlySpan<byte> name, ulong node, NodeKind kind, ulong next)
    {
        if (DirectoryOperations.PositionOf(next) is { } position) return Add(name, node, kind, position);
        IsCursorTooLarge = true;
        return false;
    }

    /// <summary>Adds an entry.</summary>
    /// <returns>False when there is no room for it.</returns>
    public bool Add(ReadOnlySpan<byte> name, ulong node, NodeKind kind, ulong position)
    {
        int bytes = BytesOf(name.Length, _withAttributes);
        if (bytes > _capacity - _length) return false;
        byte* at = room + _length;
        new Span<byte>(at, bytes).Clear();
        if (_withAttributes) at += sizeof(EntryReply);
        *(DirectoryEntry*)at = new DirectoryEntry { Inode = _mounted!.WireOf(node), Offset = position, NameLength = (uint)name.Length, Type = (uint)kind };
        name.CopyTo(new Span<byte>(at + sizeof(DirectoryEntry), name.Length));
        _length += bytes;
        return true;
    }
}
