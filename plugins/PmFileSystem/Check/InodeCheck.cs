using System.Runtime.InteropServices;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Check;

/// <summary>An inode that is being judged.</summary>
internal struct Judgement
{
    public uint Inode;
    public InodeRecord Record;

    /// <summary>Nothing but what can be derived, and perhaps the checksum, is wrong.</summary>
    public bool IsPlausible;

    /// <summary>The record was mended, and has to be written.</summary>
    public bool IsMended;
}

/// <summary>Judges inodes: fields, checksums, and what they say of their names and blocks.</summary>
internal sealed class InodeCheck(CheckScan scan)
{
    private readonly BlockMapWalk _map = new(scan);
    private readonly AttributeCheck _attributes = new(scan);
    private readonly DirectoryWalk _walk = new(scan);
    private readonly byte[] _target = new byte[PmLayout.BlockBytes];

    private static bool IsKind(NodeKind kind) => kind is NodeKind.Pipe or NodeKind.CharacterDevice or NodeKind.Directory or NodeKind.BlockDevice or NodeKind.File or NodeKind.SymbolicLink or NodeKind.Socket;

    /// <summary>Judges all that are not directories which were visited, once all names are counted.</summary>
    public void Run()
    {
        foreach (uint inode in scan.KnownInodes())
        {
            ref InodeFacts facts = ref scan.Inodes[inode];
            Place(inode, ref facts);
            if (facts.Has(InodeSigns.Walked)) continue;
            // While directories are broken, what has no name may have had one in them: its blocks stay its own.
            if (facts.Has(InodeSigns.Leaked) && !scan.HasBrokenDirectories) continue;
            if (facts.Kind == NodeKind.Directory) EmptyDirectory(inode);
            else Other(inode, facts);
        }
    }

    /// <summary>Reads a record, and judges its fields.</summary>
    public Judgement Begin(uint inode)
    {
        var judgement = new Judgement { Inode = inode, Record = scan.ReadInode(inode), IsPlausible = true };
        InodeRecord record = judgement.Record;
        bool isKind = IsKind(record.Kind);
        if (!isKind || record.Mode > ushort.MaxValue)
        {
            scan.Findings.Corruption($"inode {inode}: {(record.Mode == 0 ? "it is taken or named, and its record is free" : "no such kind of node")}: mode 0x{(ulong)record.Mode:x}");
            judgement.IsPlausible = false;
            if (!isKind) scan.HasBrokenPointers = true;
        }

        long most = record.Kind switch
        {
            NodeKind.File => PmLayout.MostFileBytes,
            NodeKind.SymbolicLink => PmLayout.MostTargetBytes,
            _ => long.MaxValue,
        };
        if (record.Size < (record.Kind == NodeKind.SymbolicLink ? 1 : 0) || record.Size > most)
        {
            scan.Findings.Corruption($"inode {inode}: a size of {record.Size} bytes; at most {most} expected");
            judgement.IsPlausible = false;
        }

        return judgement;
    }

    /// <summary>Compares a directory with what it consists of.</summary>
    public void EndDirectory(ref Judgement judgement, DirectoryTotals totals, uint subdirectories)
    {
        InodeFacts facts = scan.Inodes[judgement.Inode];
        ref InodeRecord record = ref judgement.Record;
        judgement.IsPlausible &= !totals.IsBroken;
        long blocks = totals.Leaves + totals.IndexBlocks + Attributes(ref judgement);
        bool canMend = !totals.IsBroken;
        if (Differs(ref judgement, "entries", record.Entries, totals.Entries, canMend)) record.Entries = (uint)totals.Entries;
        if (Differs(ref judgement, "size", record.Size, totals.Leaves * PmLayout.BlockBytes, canMend)) record.Size = totals.Leaves * PmLayout.BlockBytes;
        if (Differs(ref judgement, "blocks", record.Blocks, blocks, canMend)) record.Blocks = blocks;
        if (facts.Has(InodeSigns.Reached))
        {
            if (Differs(ref judgement, "names", record.Links, 2 + subdirectories, canMend)) record.Links = 2 + subdirectories;
            if (Differs(ref judgement, "directory that holds it", record.Parent, facts.Parent, canMend: true)) record.Parent = facts.Parent;
        }
        else if (facts.Has(InodeSigns.Orphan))
        {
            if (totals.Entries > 0) scan.Findings.Corruption($"inode {judgement.Inode}: a directory that was removed has {totals.Entries} entries");
            if (Differs(ref judgement, "names", record.Links, 0, canMend)) record.Links = 0;
        }

        End(ref judgement);
    }

    // Whether it is where it should be: in the tree, or among the orphans.
    private void Place(uint inode, ref InodeFacts facts)
    {
        bool isReached = facts.Has(InodeSigns.Reached), isOrphan = facts.Has(InodeSigns.Orphan);
        if (facts.Names > 0 && isOrphan) scan.Findings.Corruption($"inode {inode}: it has {facts.Names} names, and the orphan bitmap has it");
        if (isReached || isOrphan) return;
        if (facts.Names > 0 || facts.Has(InodeSigns.Walked))
        {
            scan.Findings.Corruption($"inode {inode}: no path leads to it from the root; {(facts.Names > 0 ? "it is named only in directories that are lost themselves" : "a directory with entries, without a name")}");
            return;
        }

        scan.Findings.Leak($"inode {inode}: it is taken (mode 0x{(ulong)scan.ReadInode(inode).Mode:x}), and nothing names it");
        facts.Signs |= InodeSigns.Leaked;
    }

    private void EmptyDirectory(uint inode)
    {
        Judgement judgement = Begin(inode);
        DirectoryTotals totals = _walk.Run(inode, judgement.Record, NoEntries.Instance);
        EndDirectory(ref judgement, totals, 0);
    }

    private void Other(uint inode, InodeFacts facts)
    {
        Judgement judgement = Begin(inode);
        if (!IsKind(judgement.Record.Kind)) return;
        long blocks = 0;
        if (judgement.Record.Kind == NodeKind.File) judgement.IsPlausible &= _map.Run(inode, judgement.Record, out blocks);
        else if (judgement.Record.Root != 0 || judgement.Record.Height != 0) Implausible(ref judgement, "a block map, and it is no file");
        if (judgement.Record.Kind == NodeKind.SymbolicLink && judgement.IsPlausible) blocks = Target(ref judgement);
        blocks += Attributes(ref judgement);
        if (Differs(ref judgement, "blocks", judgement.Record.Blocks, blocks, judgement.IsPlausible)) judgement.Record.Blocks = blocks;
        bool canMendLinks = !scan.HasBrokenDirectories || facts.Names > judgement.Record.Links;
        if (Differs(ref judgement, "names", judgement.Record.Links, facts.Names, canMendLinks)) judgement.Record.Links = facts.Names;
        End(ref judgement);
    }

    private long Target(ref Judgement judgement)
    {
        int length = (int)judgement.Record.Size;
        long blocks = 0;
        ReadOnlySpan<byte> target = MemoryMarshal.AsBytes((ReadOnlySpan<ulong>)judgement.Record.Direct);
        if (length > PmLayout.InlineTargetBytes)
        {
            blocks = 1;
            bool isSound = true;
            bool isReadable = scan.Claim(judgement.Record.Direct[0], judgement.Inode, "link target", ref isSound);
            judgement.IsPlausible &= isSound;
            if (!isReadable) return blocks;
            scan.Region.ReadBlock(judgement.Record.Direct[0], _target);
            target = _target;
        }

        if (target[..length].Contains((byte)0)) Implausible(ref judgement, "a symbolic link with a 0 in its target");
        return blocks;
    }

    private long Attributes(ref Judgement judgement)
    {
        if (judgement.Record.Attributes == 0) return 0;
        judgement.IsPlausible &= _attributes.Run(judgement.Inode, judgement.Record.Attributes);
        return 1;
    }

    private void Implausible(ref Judgement judgement, string what)
    {
        scan.Findings.Corruption($"inode {judgement.Inode}: {what}");
        judgement.IsPlausible = false;
    }

    // Whether the field is to be mended.
    private bool Differs(ref Judgement judgement, string field, long found, long expected, bool canMend)
    {
        if (found == expected) return false;
        scan.Findings.Corruption($"inode {judgement.Inode}: {field}: {expected} expected, {found} found");
        bool mends = canMend && scan.Mender is { Everything: true };
        judgement.IsMended |= mends;
        return mends;
    }

    private void End(ref Judgement judgement)
    {
        uint expected = scan.ReadInode(judgement.Inode).ComputeChecksum(judgement.Inode), found = judgement.Record.Checksum;
        bool isRight = expected == found;
        if (!isRight)
        {
            // The pointers that it has lost are nobody's now.
            scan.HasBrokenPointers = true;
            scan.Findings.Corruption($"inode {judgement.Inode}: checksum 0x{(ulong)expected:x8} expected, 0x{(ulong)found:x8} found{(judgement.IsPlausible ? "; its fields are plausible: --repair all would take them as they are, wrong times, owners or sizes included" : "")}");
        }

        if (scan.Mender is { Everything: true } && (isRight ? judgement.IsMended : judgement.IsPlausible)) scan.Write(judgement.Inode, judgement.Record);
    }

    /// <summary>For directories that have no entries, by their own word: those that they have all the same show in the number of entries.</summary>
    private sealed class NoEntries : IEntryTaker
    {
        public static readonly NoEntries Instance = new();

        public void Take(uint directory, uint inode, ReadOnlySpan<byte> name, int type)
        {
        }
    }
}
