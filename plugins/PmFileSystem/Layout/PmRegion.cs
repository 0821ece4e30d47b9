using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace StoragePlugins.PmFileSystem.Layout;

/// <summary>The mapped region with what lies where. Threading and errors as <see cref="IPersistentMemory"/>.</summary>
internal sealed class PmRegion(IPersistentMemory memory, Geometry geometry, string name)
{
    public IPersistentMemory Memory => memory;

    public Geometry Geometry => geometry;

    /// <summary>For messages.</summary>
    public string Name => name;

    public ReadOnlySpan<byte> View(long offset, int length) => memory.View(offset, length);

    public ReadOnlySpan<byte> Block(ulong block) => memory.View(PmLayout.PlaceOf(block), PmLayout.BlockBytes);

    /// <summary>A block of block numbers.</summary>
    public ReadOnlySpan<ulong> Pointers(ulong block) => MemoryMarshal.Cast<byte, ulong>(Block(block));

    public ulong Word(long offset) => BinaryPrimitives.ReadUInt64LittleEndian(memory.View(offset, sizeof(ulong)));

    public void ReadInode(uint inode, out InodeRecord record)
    {
        if (inode == 0 || inode >= geometry.Inodes) throw Damaged($"there is no inode {inode}");
        record = Unsafe.ReadUnaligned<InodeRecord>(ref MemoryMarshal.GetReference(memory.View(geometry.InodeOffset(inode), PmLayout.InodeBytes)));
    }

    /// <summary>Waits until what this thread stored past the cache, or has begun to write back, is durable. Where the domain asks for it by name, that of a range.</summary>
    /// <exception cref="DurabilityLostException">It is not, and nobody knows what is.</exception>
    public void MakeDurable(long offset, long length)
    {
        if (memory.Domain == PersistenceDomain.Msync) memory.Persist(offset, length);
        else memory.Fence();
    }

    /// <summary>A block number out of a map, judged.</summary>
    /// <exception cref="StorageException">It lies outside the data.</exception>
    public ulong Checked(ulong block) => geometry.IsDataBlock(block) ? block : throw Damaged($"a map refers to block {block}, which is not for data");

    public StorageException Damaged(string how) => new(StorageError.Io, "pmfs", name, -1, 0, $"the file system is damaged: {how}; unmount it and run 'sphost image check'");
}
