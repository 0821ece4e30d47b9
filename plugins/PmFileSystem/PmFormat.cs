using System.Composition;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using StoragePlugins.PmFileSystem.Journal;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem;

/// <summary>
/// A file system in a mapped region whose metadata is journaled byte by byte: "An Efficient Metadata Journaling Scheme for In-memory File Systems". Needs a
/// medium that is mapped memory (<see cref="IPersistentMemory"/>); its journal is its own.
/// </summary>
[Export(typeof(IBlockFormat))]
[Strategy("pmfs", Summary = "a file system in persistent memory: every call is durable when it returns", Options = typeof(PmFormatOptions))]
public sealed class PmFormat : IBlockFormat, ICheckingFormat
{
    private const int ZeroBytes = 1 << 20;

    /// <inheritdoc/>
    public FormatMatch Probe(IStorageMedium medium)
    {
        Span<byte> magic = stackalloc byte[PmLayout.Magic.Length];
        return medium.Read(0, magic) == magic.Length && magic.SequenceEqual(PmLayout.Magic) ? FormatMatch.Certain : FormatMatch.No;
    }

    /// <inheritdoc/>
    public void Create(IStorageMedium medium, CreateRequest request, StrategyContext context)
    {
        if (request.BackingFile is not null) throw new DiagnosticException("SP3013", "a pmfs image cannot have a backing file", medium.Name, fix: "use --format qcow2");
        Geometry geometry = Geometry.Plan(medium.Name, request.Size, context.Options<PmFormatOptions>().BytesPerInode);
        bool readsZeros = TryEmpty(medium, request.Size);
        if (medium.Length < geometry.Length)
            throw new DiagnosticException("SP3201", "the device is smaller than the file system", medium.Name, $"{geometry.Length} bytes", $"{medium.Length} bytes", "give a smaller size");
        if (!readsZeros) Zero(medium, PmLayout.BlockBytes, (geometry.FirstDataBlock << PmLayout.BlockShift) - PmLayout.BlockBytes);
        WriteOnes(medium, geometry.BlockBitmap, 0, geometry.FirstDataBlock);
        WriteOnes(medium, geometry.BlockBitmap, geometry.EndOfData, Geometry.BitmapBytes(geometry.Blocks) * 8);
        WriteOnes(medium, geometry.NodeBitmap, 0, PmLayout.RootInode + 1);
        WriteOnes(medium, geometry.NodeBitmap, geometry.Inodes, Geometry.BitmapBytes(geometry.Inodes) * 8);
        WriteRoot(medium, geometry);
        byte[] superblock = geometry.ToBytes();
        byte[] block = new byte[PmLayout.BlockBytes];
        superblock.CopyTo(block, 0);
        medium.Write(geometry.EndOfData << PmLayout.BlockShift, block, ContentClass.Header);
        BitConverter.TryWriteBytes(block.AsSpan((int)PmLayout.FloorOffset), StateWords.PackFloor(0));
        BitConverter.TryWriteBytes(block.AsSpan((int)PmLayout.StateOffset), StateWords.PackState(0, inUse: false));
        // With it the image is one.
        medium.Write(0, block, ContentClass.Header);
    }

    /// <inheritdoc/>
    public IDiskImage Open(OpenRequest request, StrategyContext context)
    {
        IOrderedMedium storage = request.Storage;
        IPersistentMemory memory = storage.GetCapability<IPersistentMemory>() ?? throw new DiagnosticException(
            "SP3207", "pmfs needs an image that is mapped into memory", storage.Name, fix: "use the pipeline 'pmfs', or write \"medium\": [\"pm\", \"file\"] in a pipeline of your own");
        return new PmImage(storage, OpenVolume(memory, storage.Name, request.ReadOnly, context.Logger), context.Logger);
    }

    /// <inheritdoc/>
    public CheckReport Check(IStorageMedium medium, RepairMode repair, StrategyContext context) => new Check.PmChecker(medium).Run(repair);

    /// <summary>Opens a mapped file system: replays its journal and frees orphans where it was not closed cleanly, and marks it as in use.</summary>
    internal static PmTree OpenVolume(IPersistentMemory memory, string name, bool readOnly, ILogger logger)
    {
        Geometry geometry = Geometry.Read(name, memory.View(0, (int)Math.Min(memory.Length, PmLayout.SuperblockBytes)), memory.Length);
        var region = new PmRegion(memory, geometry, name);
        if (!StateWords.TryUnpackFloor(region.Word(PmLayout.FloorOffset), out ulong floor) || !StateWords.TryUnpackState(region.Word(PmLayout.StateOffset), out ulong session, out bool inUse))
            throw new DiagnosticException("SP3204", "the superblock is damaged: the word that says where the journal stands", name, fix: "'sphost image check' tells what can be had");
        if (readOnly)
        {
            if (inUse) throw new DiagnosticException("SP3208", "the file system was not closed cleanly and cannot be opened for reading only", name, fix: "'sphost image recover' first");
            return new PmTree(new Volume(region, floor, readOnly: true));
        }

        int records = 0;
        if (inUse) (floor, records) = JournalReplay.Run(region, new Home(region), floor);
        JudgeRoot(region);
        MetadataJournal.StoreWord(region, PmLayout.StateOffset, StateWords.PackState(session + 1, inUse: true));
        var tree = new PmTree(new Volume(region, floor, readOnly: false));
        if (inUse)
        {
            long orphans = tree.DestroyOrphans();
            logger.LogInformation("{Image}: not closed cleanly; {Records} records of the journal applied, {Orphans} unnamed files freed", name, records, orphans);
        }

        return tree;
    }

    private static void JudgeRoot(PmRegion region)
    {
        region.ReadInode(PmLayout.RootInode, out InodeRecord root);
        if (root.Kind != NodeKind.Directory || root.Checksum != root.ComputeChecksum(PmLayout.RootInode))
            throw new DiagnosticException("SP3204", "the root directory is damaged", region.Name, fix: "'sphost image check' tells what can be had");
    }

    // A file becomes one hole. A device cannot be cut: what it holds stays.
    private static bool TryEmpty(IStorageMedium medium, long size)
    {
        try
        {
            medium.SetLength(0);
            medium.SetLength(size);
            return true;
        }
        catch (StorageException failure) when (failure.Error != StorageError.NoSpace && medium.Length > 0)
        {
            return false;
        }
    }

    private static void Zero(IStorageMedium medium, long offset, long length)
    {
        byte[] zeros = new byte[ZeroBytes];
        for (long done = 0; done < length; done += ZeroBytes)
            medium.Write(offset + done, zeros.AsSpan(0, (int)Math.Min(ZeroBytes, length - done)), ContentClass.FileSystem);
    }

    // Bits from (inclusive) to (exclusive) of a bitmap of zeros; other bits of the first and last byte are those of an earlier call.
    private static void WriteOnes(IStorageMedium medium, long bitmap, long from, long to)
    {
        for (long at = from / 8; at * 8 < to;)
        {
            int count = (int)Math.Min(((to + 7) / 8) - at, ZeroBytes);
            byte[] bytes = new byte[count];
            medium.Read(bitmap + at, bytes);
            for (int i = 0; i < count; i++)
            {
                long bit = (at + i) * 8;
                int low = (int)Math.Max(from - bit, 0), high = (int)Math.Min(to - bit, 8);
                bytes[i] |= (byte)(((1 << high) - 1) & ~((1 << low) - 1));
            }

            medium.Write(bitmap + at, bytes, ContentClass.Allocation);
            at += count;
        }
    }

    private static void WriteRoot(IStorageMedium medium, Geometry geometry)
    {
        var root = new InodeRecord
        {
            Mode = ((uint)NodeKind.Directory << 12) | 0x1ed, Links = 2, Parent = PmLayout.RootInode, Generation = 1,
            AccessTime = geometry.Created, ModificationTime = geometry.Created, ChangeTime = geometry.Created, BirthTime = geometry.Created,
        };
        root.Checksum = root.ComputeChecksum(PmLayout.RootInode);
        medium.Write(geometry.InodeOffset(PmLayout.RootInode), MemoryMarshal.AsBytes(new ReadOnlySpan<InodeRecord>(in root)), ContentClass.FileSystem);
    }
}
