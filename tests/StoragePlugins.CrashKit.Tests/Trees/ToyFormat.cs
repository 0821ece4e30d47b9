using System.Text;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Trees;

namespace StoragePlugins.CrashKit.Tests.Trees;

/// <summary>What a <see cref="ToyFormat"/> does wrong.</summary>
public enum ToyFault
{
    None = 0,

    /// <summary>The new tree and the word that makes it count persist in any order.</summary>
    ForgetsTheFenceBeforeTheWord,

    /// <summary>A call returns before the word that makes it count is durable.</summary>
    ForgetsTheFenceBehindTheWord,

    /// <summary>The tree is overwritten where it is.</summary>
    OverwritesWhatCounts,

    /// <summary>Attributes are not kept.</summary>
    ForgetsAttributes,

    /// <summary>A rename is two changes, each of them durable.</summary>
    RenamesInTwoSteps,

    /// <summary>An append is a larger size and then the bytes, each of them durable.</summary>
    GrowsBeforeItWrites,

    /// <summary>Time stamps are not kept.</summary>
    ForgetsTimes,

    /// <summary>Names of one file become files of their own.</summary>
    ForgetsLinks,

    /// <summary>Opening counts as a change, and shows.</summary>
    RecoversTwice,
}

/// <summary>
/// A tree that is kept as simply as can be: with every change it is written as a whole to the half that does not count, and then one word makes that half count.
/// </summary>
internal sealed class ToyFormat(ToyFault fault) : IBlockFormat
{
    private const int FirstHalf = 4096;

    public static TestedPipeline Pipeline(ToyFault fault) => new(
        $"toy tree ({fault})", new Tested<IBlockFormat>("toy", new ToyFormat(fault)), new Tested<IOrderingPrimitive>("flush", new StoragePlugins.CrashKit.Contracts.Model.FlushOrdering()),
        new Tested<IMetadataJournal>("staged", new StoragePlugins.CrashKit.Contracts.Model.StagedJournal()));

    public FormatMatch Probe(IStorageMedium medium) => FormatMatch.Possible;

    public void Create(IStorageMedium medium, CreateRequest request, StrategyContext context)
    {
        medium.SetLength(request.Size);
        medium.Write(FirstHalf, Write(new ModelTree().Nodes), ContentClass.FileSystem);
    }

    public IDiskImage Open(OpenRequest request, StrategyContext context)
    {
        IPersistentMemory memory = request.Storage.GetCapability<IPersistentMemory>() ?? throw new DiagnosticException("SP3207", "the toy needs memory", request.Storage.Name);
        return new ToyImage(this, request.Storage, memory, request.ReadOnly);
    }

    private static byte[] Write(IEnumerable<ModelNode> nodes)
    {
        using var bytes = new MemoryStream();
        using var writer = new BinaryWriter(bytes);
        ModelNode[] all = [.. nodes.OrderBy(node => node.Number)];
        writer.Write(all.Length);
        foreach (ModelNode node in all) Write(writer, node);
        return bytes.ToArray();
    }

    private static void Write(BinaryWriter writer, ModelNode node)
    {
        writer.Write(node.Number);
        foreach (uint value in new[] { node.Mode, node.Links, node.UserId, node.GroupId, node.Device }) writer.Write(value);
        foreach (long value in new[] { node.Size, node.AccessTime, node.ModificationTime, node.ChangeTime, node.BirthTime, (long)node.Parent }) writer.Write(value);
        WriteBytes(writer, node.Target);
        writer.Write(node.Attributes.Count);
        foreach ((string name, byte[] value) in node.Attributes)
        {
            writer.Write(name);
            WriteBytes(writer, value);
        }

        writer.Write(node.Entries.Count);
        foreach ((string name, (ulong number, ulong cursor)) in node.Entries)
        {
            writer.Write(name);
            writer.Write(number);
            writer.Write(cursor);
        }

        writer.Write(node.Content.Pages.Count);
        foreach ((long page, byte[] content) in node.Content.Pages)
        {
            writer.Write(page);
            writer.Write(content);
        }
    }

    private static void WriteBytes(BinaryWriter writer, byte[] bytes)
    {
        writer.Write(bytes.Length);
        writer.Write(bytes);
    }

    private static ModelNode ReadNode(BinaryReader reader)
    {
        var node = new ModelNode(reader.ReadUInt64(), reader.ReadUInt32()) { Links = reader.ReadUInt32(), UserId = reader.ReadUInt32(), GroupId = reader.ReadUInt32(), Device = reader.ReadUInt32() };
        node.Size = reader.ReadInt64();
        (node.AccessTime, node.ModificationTime, node.ChangeTime, node.BirthTime, node.Parent) = (reader.ReadInt64(), reader.ReadInt64(), reader.ReadInt64(), reader.ReadInt64(), (ulong)reader.ReadInt64());
        node.Target = reader.ReadBytes(reader.ReadInt32());
        for (int i = reader.ReadInt32(); i > 0; i--) node.Attributes.Add(reader.ReadString(), reader.ReadBytes(reader.ReadInt32()));
        for (int i = reader.ReadInt32(); i > 0; i--) node.Entries.Add(reader.ReadString(), (reader.ReadUInt64(), reader.ReadUInt64()));
        for (int i = reader.ReadInt32(); i > 0; i--) node.Content.Write(reader.ReadInt64() * SparseContent.PageBytes, reader.ReadBytes(SparseContent.PageBytes));
        return node;
    }

    /// <summary>An open tree of this kind.</summary>
    private sealed class ToyImage : IDiskImage
    {
        private readonly ToyFormat _format;
        private readonly IOrderedMedium _storage;
        private readonly IPersistentMemory _memory;
        private readonly ModelTree _tree;
        private readonly ToyFault _fault;
        private long _half;

        public ToyImage(ToyFormat format, IOrderedMedium storage, IPersistentMemory memory, bool readOnly)
        {
            (_format, _storage, _memory) = (format, storage, memory);
            _fault = Fault;
            _half = BitConverter.ToInt64(memory.View(0, sizeof(long)));
            using var reader = new BinaryReader(new MemoryStream(memory.View(FirstHalf + ((_half & 1) * HalfBytes), HalfBytes).ToArray()), Encoding.UTF8);
            ModelNode[] nodes = [.. Enumerable.Range(0, reader.ReadInt32()).Select(_ => ReadNode(reader))];
            if (_fault == ToyFault.RecoversTwice && !readOnly && nodes.Length > 3) nodes[1].Mode ^= 1;
            _tree = new ModelTree(nodes, Keep) { IsReadOnly = readOnly };
            if (_fault == ToyFault.RecoversTwice && !readOnly) Keep();
        }

        private ToyFault Fault => _format.FaultOf;

        private int HalfBytes => (int)(_memory.Length - FirstHalf) / 2 / 64 * 64;

        public ImageDescription Description => new("toy", _memory.Length, []);

        public IReadOnlyList<DiskEntry> ListDisks(string? after, int limit) => [];

        public IVirtualDisk OpenDisk(string name) => throw new DiagnosticException("SP3021", "a toy has no disks", _storage.Name);

        public T? GetCapability<T>() where T : class =>
            typeof(T) != typeof(IFileTree) ? this as T : (T)(_fault is ToyFault.RenamesInTwoSteps or ToyFault.GrowsBeforeItWrites ? (IFileTree)new TwoStepTree(_tree, _fault) : _tree);

        public void Close()
        {
        }

        public void Dispose() => _storage.Dispose();

        private void Keep()
        {
            byte[] bytes = Write(_tree.Nodes.Select(Forget));
            if (bytes.Length > HalfBytes) throw new InvalidOperationException("the toy is full");
            long next = _fault == ToyFault.OverwritesWhatCounts ? _half : _half + 1;
            long at = FirstHalf + ((next & 1) * HalfBytes);
            _memory.StoreNonTemporal(at, bytes);
            if (_fault != ToyFault.ForgetsTheFenceBeforeTheWord) _memory.Persist(at, bytes.Length);
            _memory.Store(0, BitConverter.GetBytes(next));
            if (_fault != ToyFault.ForgetsTheFenceBehindTheWord) _memory.Persist(0, sizeof(long));
            _half = next;
        }

        // What is written of a node.
        private ModelNode Forget(ModelNode node)
        {
            if (_fault is not (ToyFault.ForgetsAttributes or ToyFault.ForgetsTimes or ToyFault.ForgetsLinks)) return node;
            using var bytes = new MemoryStream();
            using var writer = new BinaryWriter(bytes);
            ToyFormat.Write(writer, node);
            bytes.Position = 0;
            using var reader = new BinaryReader(bytes);
            ModelNode copy = ReadNode(reader);
            if (_fault == ToyFault.ForgetsAttributes) copy.Attributes.Clear();
            if (_fault == ToyFault.ForgetsTimes) copy.ModificationTime = 0;
            if (_fault == ToyFault.ForgetsLinks && copy.Kind == NodeKind.File) copy.Links = 1;
            return copy;
        }
    }

    private ToyFault FaultOf => fault;
}
