using StoragePlugins.Host.Disks;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>A tree as it is mounted: its nodes by the numbers of the wire, and what is agreed with the kernel.</summary>
/// <remarks>Thread-safe.</remarks>
internal sealed class MountedTree
{
    private const long NanosecondsPerSecond = 1_000_000_000;

    /// <summary>What programs are told to write at a time; also the kernel's page.</summary>
    private const uint BlockBytes = 4096;

    /// <summary>Sectors of st_blocks.</summary>
    private const int SectorBytes = 512;

    private readonly ulong _root;

    /// <param name="tree">What is mounted.</param>
    /// <param name="meter">Counts what programs ask for; null where the tree does so itself.</param>
    public MountedTree(IFileTree tree, StorageMeter? meter)
    {
        Tree = tree;
        Meter = meter;
        _root = tree.RootNode;
        IsDurableOnReturn = tree.Durability == TreeDurability.OnReturn;
        Files = new OpenFiles(tree);
    }

    /// <summary>What is mounted.</summary>
    public IFileTree Tree { get; }

    /// <summary>Counts what programs ask for; null where the tree does so itself.</summary>
    public StorageMeter? Meter { get; }

    /// <summary>How long reads, writes and flushes took to answer, without the kernel's part.</summary>
    public RequestLatencies Latency { get; } = new();

    /// <summary>Nothing needs a flush.</summary>
    public bool IsDurableOnReturn { get; }

    /// <summary>The files that programs have open.</summary>
    public OpenFiles Files { get; }

    /// <summary>Whether written pages wait in the kernel; agreed on by INIT.</summary>
    public bool HasWritebackCache { get; set; }

    /// <summary>Whether files that are open for writing bypass the kernel's cache; agreed on by INIT.</summary>
    /// <remarks>Where no written page waits in the kernel every write comes here at once anyway: the cache would only be one more copy (measured: a
    /// quarter of the rate for long writes). Who only reads is served from it.</remarks>
    public bool WritesDirectly { get; set; }

    /// <summary>The tree's number of a node of the wire. The root is 1 there; who has that number in the tree gets the root's.</summary>
    public ulong NodeOf(ulong wire) => wire == FuseProtocol.RootNode ? _root : wire == _root ? FuseProtocol.RootNode : wire;

    /// <summary>A node's number on the wire.</summary>
    public ulong WireOf(ulong node) => NodeOf(node);

    /// <summary>Writes the answer to a name that was found or made.</summary>
    public void Describe(in NodeAttributes node, out EntryReply reply)
    {
        reply = new EntryReply
        {
            Node = WireOf(node.Node),
            Generation = node.Generation,
            EntryValidSeconds = FuseProtocol.CacheSeconds,
            AttributesValidSeconds = FuseProtocol.CacheSeconds,
        };
        Describe(node, out reply.Attributes);
    }

    /// <summary>Writes attributes with how long they hold.</summary>
    public void Describe(in NodeAttributes node, out AttributesReply reply)
    {
        reply = new AttributesReply { ValidSeconds = FuseProtocol.CacheSeconds };
        Describe(node, out reply.Attributes);
    }

    /// <summary>Writes attributes with the time of birth.</summary>
    public void Describe(in NodeAttributes node, out StatXReply reply) => reply = new StatXReply
    {
        ValidSeconds = FuseProtocol.CacheSeconds,
        Mask = 0xFFF, // the basic ones and the birth time
        BlockSize = BlockBytes,
        Links = node.Links,
        UserId = node.UserId,
        GroupId = node.GroupId,
        Mode = (ushort)node.Mode,
        Inode = WireOf(node.Node),
        Size = (ulong)node.Size,
        Blocks = (ulong)node.AllocatedBytes / SectorBytes,
        AccessTime = StatXTimeOf(node.AccessTime),
        BirthTime = StatXTimeOf(node.BirthTime),
        ChangeTime = StatXTimeOf(node.ChangeTime),
        ModificationTime = StatXTimeOf(node.ModificationTime),
        // The kernel's 32-bit dev_t: 12 bits of major between 8 and 12 of minor.
        DeviceMajor = (node.Device >> 8) & 0xFFF,
        DeviceMinor = (node.Device & 0xFF) | ((node.Device >> 12) & 0xFFF00),
    };

    /// <summary>A time of the wire.</summary>
    /// <returns>Nanoseconds since 1970; the ends of the range where it has no room.</returns>
    public static long TimeOf(long seconds, uint nanoseconds)
    {
        Int128 time = ((Int128)seconds * NanosecondsPerSecond) + nanoseconds;
        return (long)Int128.Clamp(time, long.MinValue, long.MaxValue);
    }

    /// <summary>Now.</summary>
    public static long Now => (DateTime.UtcNow - DateTime.UnixEpoch).Ticks * 100;

    private void Describe(in NodeAttributes node, out NodeAttributesWire wire)
    {
        wire = new NodeAttributesWire
        {
            Inode = WireOf(node.Node),
            Size = (ulong)node.Size,
            Blocks = (ulong)node.AllocatedBytes / SectorBytes,
            Mode = node.Mode,
            Links = node.Links,
            UserId = node.UserId,
            GroupId = node.GroupId,
            Device = node.Device,
            BlockSize = BlockBytes,
        };
        (wire.AccessSeconds, wire.AccessNanoseconds) = Split(node.AccessTime);
        (wire.ModificationSeconds, wire.ModificationNanoseconds) = Split(node.ModificationTime);
        (wire.ChangeSeconds, wire.ChangeNanoseconds) = Split(node.ChangeTime);
    }

    private static StatXTime StatXTimeOf(long time)
    {
        (long seconds, uint nanoseconds) = Split(time);
        return new StatXTime { Seconds = seconds, Nanoseconds = nanoseconds };
    }

    // Before 1970 the seconds round down and the nanoseconds count up.
    private static (long Seconds, uint Nanoseconds) Split(long time)
    {
        long nanoseconds = time % NanosecondsPerSecond;
        if (nanoseconds < 0) nanoseconds += NanosecondsPerSecond;
        return ((time - nanoseconds) / NanosecondsPerSecond, (uint)nanoseconds);
    }
}
