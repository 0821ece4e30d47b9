namespace StoragePlugins;

/// <summary>
/// Capability of an image: it is a tree of files, such as a file system. A mount serves it; programs in this process may use it directly.
/// </summary>
/// <remarks>
/// <para><b>Nodes.</b> A file, directory, symbolic link or device is a node with a number; the root is <see cref="RootNode"/>. A number returned by
/// <see cref="Lookup"/>, <see cref="Create"/>, <see cref="CreateSymbolicLink"/> and <see cref="Link"/> is <i>held</i>, once a call, until as many
/// <see cref="Forget"/>: a held node lives on after its last name is gone, and its number is not given to another one. The root is always held. Numbers that
/// nobody holds may be asked for too and are answered with <see cref="FileError.Stale"/> when the node is gone.</para>
/// <para><b>Names</b> are bytes: 1 to 255 of them, any but 0 and '/', no encoding implied; "." and ".." are never stored and refused with
/// <see cref="FileError.InvalidArgument"/>. Compared byte by byte.</para>
/// <para><b>Permissions</b> are stored, not enforced: the mount has the kernel do that.</para>
/// <para><b>Threading.</b> Any number of calls at once. Each call is atomic for the others, except that a read beside a write of the same range may
/// see a part of it.</para>
/// <para><b>Durability and atomicity.</b> By <see cref="Durability"/>. A call that returned an error other than through an exception changed nothing.</para>
/// <para><b>Errors.</b> What a caller of a file system has to expect is a <see cref="FileError"/>, since it is no exception there. A device that fails is a
/// <see cref="StorageException"/>, damage included.</para>
/// </remarks>
public interface IFileTree
{
    /// <summary>The root directory's number.</summary>
    ulong RootNode { get; }

    /// <summary>What a call promises when it returns.</summary>
    TreeDurability Durability { get; }

    /// <summary>True when every change is refused with <see cref="FileError.ReadOnly"/>.</summary>
    bool IsReadOnly { get; }

    /// <summary>Space and nodes, used and free.</summary>
    TreeStatistics Statistics { get; }

    /// <summary>Finds a name in a directory and holds the node.</summary>
    /// <param name="parent">The directory.</param>
    /// <param name="name">1 to 255 bytes.</param>
    /// <param name="node">The node's attributes.</param>
    FileError Lookup(ulong parent, ReadOnlySpan<byte> name, out NodeAttributes node);

    /// <summary>Lets go of a node that was held <paramref name="count"/> times more than it is to be.</summary>
    void Forget(ulong node, long count);

    /// <summary>A file that was opened for writing was closed for the last time: space set aside for its growth may be given back. Never fails.</summary>
    void Closed(ulong node);

    /// <summary>What is known of a node.</summary>
    FileError GetAttributes(ulong node, out NodeAttributes attributes);

    /// <summary>Changes attributes, all of those named or none; a new size cuts the file or lengthens it with zeros.</summary>
    FileError SetAttributes(ulong node, in AttributeChange change, out NodeAttributes attributes);

    /// <summary>Makes a file, directory, pipe, socket or device, and holds it.</summary>
    /// <param name="parent">The directory.</param>
    /// <param name="name">A name that is not taken, or <see cref="FileError.Exists"/>.</param>
    /// <param name="request">Kind, permissions, owner.</param>
    /// <param name="node">The new node.</param>
    FileError Create(ulong parent, ReadOnlySpan<byte> name, in NodeRequest request, out NodeAttributes node);

    /// <summary>Makes a symbolic link, and holds it.</summary>
    /// <param name="parent">The directory.</param>
    /// <param name="name">A name that is not taken.</param>
    /// <param name="target">1 to 4095 bytes, any but 0.</param>
    /// <param name="request">Owner; the kind is ignored.</param>
    /// <param name="node">The new node.</param>
    FileError CreateSymbolicLink(ulong parent, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, in NodeRequest request, out NodeAttributes node);

    /// <summary>Reads where a symbolic link points to.</summary>
    /// <param name="node">The link.</param>
    /// <param name="target">Receives it; 4095 bytes are always enough.</param>
    /// <param name="length">Its length; with <see cref="FileError.BufferTooSmall"/> the length that is needed.</param>
    FileError ReadSymbolicLink(ulong node, Span<byte> target, out int length);

    /// <summary>Gives a node that is no directory a further name, and holds it.</summary>
    FileError Link(ulong node, ulong newParent, ReadOnlySpan<byte> newName, out NodeAttributes attributes);

    /// <summary>Takes a name away from what is no directory. With its last name a node goes, as soon as nobody holds it.</summary>
    FileError Remove(ulong parent, ReadOnlySpan<byte> name);

    /// <summary>Removes an empty directory.</summary>
    FileError RemoveDirectory(ulong parent, ReadOnlySpan<byte> name);

    /// <summary>Moves a name, atomically. Where both names are of one node nothing happens.</summary>
    FileError Rename(ulong parent, ReadOnlySpan<byte> name, ulong newParent, ReadOnlySpan<byte> newName, RenameMode mode);

    /// <summary>Reads from a regular file until the buffer is full or the file ends.</summary>
    /// <param name="node">The file.</param>
    /// <param name="offset">First byte, 0 or more.</param>
    /// <param name="buffer">Receives the bytes; holes read as zeros.</param>
    /// <param name="read">How many there were: less than asked for only at the end.</param>
    FileError Read(ulong node, long offset, Span<byte> buffer, out int read);

    /// <summary>Writes all of <paramref name="data"/> or nothing, growing the file where it ends beyond its size.</summary>
    FileError Write(ulong node, long offset, ReadOnlySpan<byte> data);

    /// <summary>Writes behind the end of the file, which nobody else can move in between.</summary>
    /// <param name="node">The file.</param>
    /// <param name="data">The bytes.</param>
    /// <param name="offset">Where they were put.</param>
    FileError Append(ulong node, ReadOnlySpan<byte> data, out long offset);

    /// <summary>Reserves space, gives it back, or zeroes it: <c>fallocate(2)</c>.</summary>
    FileError Allocate(ulong node, AllocationMode mode, long offset, long length);

    /// <summary>The next data or the next hole at or behind an offset: <c>SEEK_DATA</c>, <c>SEEK_HOLE</c>; the end of the file counts as a hole.</summary>
    /// <returns><see cref="FileError.NoData"/> beyond the end, or when only a hole follows.</returns>
    FileError Seek(ulong node, long offset, bool forHole, out long found);

    /// <summary>Makes what was done to the node durable. Does nothing where <see cref="Durability"/> says that it already is.</summary>
    /// <exception cref="DurabilityLostException">It cannot: final until the image is opened anew.</exception>
    FileError Flush(ulong node);

    /// <summary>Lists a directory, without "." and "..".</summary>
    /// <param name="node">The directory.</param>
    /// <param name="cursor">0 for the start, or the cursor of the last entry seen. Cursors stay valid while the directory changes: an entry that was there
    /// all the time is seen exactly once.</param>
    /// <param name="visitor">Sees the entries until it has enough. No call of this tree may be made from inside it.</param>
    FileError ReadDirectory(ulong node, ulong cursor, IDirectoryVisitor visitor);

    /// <summary>The directory that holds a directory; the root for the root.</summary>
    FileError GetParent(ulong node, out ulong parent);

    /// <summary>Reads an extended attribute.</summary>
    /// <param name="node">Any node.</param>
    /// <param name="name">1 to 255 bytes, with its namespace: <c>user.comment</c>.</param>
    /// <param name="value">Receives the value; empty to ask for its length.</param>
    /// <param name="length">Its length.</param>
    /// <returns><see cref="FileError.NoAttribute"/>; <see cref="FileError.BufferTooSmall"/> when the buffer is not empty and too small.</returns>
    FileError GetExtendedAttribute(ulong node, ReadOnlySpan<byte> name, Span<byte> value, out int length);

    /// <summary>Sets an extended attribute.</summary>
    FileError SetExtendedAttribute(ulong node, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, AttributeMode mode);

    /// <summary>Lists the names of the extended attributes, each ended by a 0.</summary>
    /// <param name="node">Any node.</param>
    /// <param name="names">Receives them; empty to ask for the length.</param>
    /// <param name="length">Bytes of all of them.</param>
    FileError ListExtendedAttributes(ulong node, Span<byte> names, out int length);

    /// <summary>Removes an extended attribute.</summary>
    FileError RemoveExtendedAttribute(ulong node, ReadOnlySpan<byte> name);
}

/// <summary>Sees the entries of a directory.</summary>
public interface IDirectoryVisitor
{
    /// <summary>One entry.</summary>
    /// <param name="name">Its name; valid during the call.</param>
    /// <param name="node">Its node, which is not held.</param>
    /// <param name="kind">The node's kind.</param>
    /// <param name="next">The cursor behind it.</param>
    /// <returns>False when there is no room for it: the listing ends before this entry.</returns>
    bool Visit(ReadOnlySpan<byte> name, ulong node, NodeKind kind, ulong next);
}
