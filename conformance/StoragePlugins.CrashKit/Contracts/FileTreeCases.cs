using System.Text;
using StoragePlugins.CrashKit.Contracts.Model;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Trees;

namespace StoragePlugins.CrashKit.Contracts;

/// <summary>What <see cref="IFileTree"/> promises: the semantics of POSIX, held nodes, listings, and durability under power cuts.</summary>
public static partial class FileTreeCases
{
    private const long ImageBytes = 4 << 20;
    private const uint FileMode = ((uint)NodeKind.File << 12) | 0x1a4, DirectoryMode = ((uint)NodeKind.Directory << 12) | 0x1ed;

    /// <summary>The cases for a format whose images are trees of files in mapped memory.</summary>
    public static IReadOnlyList<ConformanceCase> For(Tested<IBlockFormat> format)
    {
        TestedPipeline Pipeline() => PipelineOf(format);
        return
        [
            new("a new image is recognized and is an empty tree", _ => IsEmpty(Pipeline())),
            new("names are bytes, and no other names than these are taken", _ => Names(Pipeline())),
            new("what cannot be done is refused with its own error, and changes nothing", _ => Errors(Pipeline())),
            new("rename follows its rules", _ => Renames(Pipeline())),
            new("a held node outlives its last name", _ => Held(Pipeline())),
            new("links are counted", _ => Links(Pipeline())),
            new("a listing shows what stays exactly once while the directory changes", _ => Listing(Pipeline())),
            new("files are sparse, and bytes behind the end are never seen", _ => Sparse(Pipeline())),
            new("attributes read back, also after a close", _ => Attributes(Pipeline())),
            new("extended attributes are set, listed and removed", _ => Extended(Pipeline())),
            new("a full tree refuses, changes nothing, and goes on when there is room", _ => Full(Pipeline())),
            new("a tree opened for reading refuses changes", _ => ReadOnly(Pipeline())),
            new("several threads work side by side", settings => Concurrent(Pipeline(), settings)),
            new("random operations agree with the model", settings => AgreesWithModel(Pipeline(), settings)),
            new("what returned survives power cuts, whole", settings => PowerCuts(Pipeline(), settings)),
        ];
    }

    /// <summary>Whether a format's images are such trees; otherwise <see cref="BlockFormatCases"/> are for it.</summary>
    public static bool ApplyTo(Tested<IBlockFormat> format) => TreeCrashTest.Of(PipelineOf(format)) is not null;

    private static TestedPipeline PipelineOf(Tested<IBlockFormat> format) =>
        new($"{format.Id} with the kit's partners", format, new Tested<IOrderingPrimitive>("flush", new FlushOrdering()), new Tested<IMetadataJournal>("staged", new StagedJournal())) { MapsImage = true };

    private static void IsEmpty(TestedPipeline pipeline)
    {
        using var subject = new Subject(pipeline);
        using (SimulatedMedium medium = subject.Machine.OpenImage(isReadOnly: true))
        {
            Expect.That(pipeline.Format.Strategy.Probe(medium) != FormatMatch.No, "the format does not recognize its own new image");
        }

        TreeView view = TreeReader.Read(subject.Tree);
        Expect.That(view.Paths.Count == 1 && view.Paths[""].Attributes is { Kind: NodeKind.Directory, Links: 2 }, "a new tree is not one empty directory with two links");
        TreeStatistics statistics = subject.Tree.Statistics;
        Expect.That(statistics.FreeBlocks > 0 && statistics.FreeBlocks <= statistics.Blocks && statistics.FreeNodes > 0 && statistics.MaxNameLength == 255, $"the statistics make no sense: {statistics}");
        subject.Close();
    }

    private static void Names(TestedPipeline pipeline)
    {
        using var subject = new Subject(pipeline);
        byte[][] good = [[0xff, 0xfe], [0xc3, 0x28], [.. Enumerable.Repeat((byte)'x', 255)], "..."u8.ToArray(), " "u8.ToArray(), "A"u8.ToArray(), "a"u8.ToArray(), [1]];
        foreach (byte[] name in good) subject.Create(subject.Root, name);
        foreach (byte[] name in good) Expect.That(subject.Tree.Lookup(subject.Root, name, out NodeAttributes found) == FileError.None && found.Links == 1, $"the name {Convert.ToHexString(name)} is not found");
        Expect.That(TreeReader.Read(subject.Tree).Paths.Count == good.Length + 1, "names that differ are taken for one");
        (byte[] Name, FileError Error)[] bad =
        [
            ([], FileError.InvalidArgument), ("."u8.ToArray(), FileError.InvalidArgument), (".."u8.ToArray(), FileError.InvalidArgument), ("a/b"u8.ToArray(), FileError.InvalidArgument),
            ([(byte)'a', 0], FileError.InvalidArgument), ([.. Enumerable.Repeat((byte)'x', 256)], FileError.NameTooLong),
        ];
        foreach ((byte[] name, FileError error) in bad)
            Is(error, subject.Tree.Create(subject.Root, name, new NodeRequest(FileMode, 0, 0), out _), $"making a file named {Convert.ToHexString(name)}");
        subject.Close();
    }

    private static void Errors(TestedPipeline pipeline)
    {
        using var subject = new Subject(pipeline);
        (IFileTree tree, ulong root) = (subject.Tree, subject.Root);
        ulong file = subject.Create(root, "file"u8), directory = subject.Create(root, "directory"u8, DirectoryMode);
        subject.Create(directory, "inside"u8);
        Is(FileError.None, tree.CreateSymbolicLink(root, "link"u8, "file"u8, default, out NodeAttributes link), "making a symbolic link");
        TreeView before = TreeReader.Read(tree);
        byte[] buffer = new byte[16];
        Is(FileError.NotFound, tree.Lookup(root, "nothing"u8, out _), "looking for what is not there");
        Is(FileError.NotDirectory, tree.Lookup(file, "x"u8, out _), "looking into a file");
        Is(FileError.Exists, tree.Create(root, "file"u8, new NodeRequest(FileMode, 0, 0), out _), "making what is there");
        Is(FileError.InvalidArgument, tree.Create(root, "new"u8, new NodeRequest(0x3 << 12, 0, 0), out _), "making a node of a kind that there is not");
        Is(FileError.InvalidArgument, tree.CreateSymbolicLink(root, "new"u8, [], default, out _), "making an empty symbolic link");
        Is(FileError.NameTooLong, tree.CreateSymbolicLink(root, "new"u8, new byte[4096].Select(_ => (byte)'x').ToArray(), default, out _), "making a symbolic link of 4096 bytes");
        Is(FileError.NotPermitted, tree.Link(directory, root, "new"u8, out _), "a second name for a directory");
        Is(FileError.Exists, tree.Link(file, root, "link"u8, out _), "a second name that is taken");
        Is(FileError.IsDirectory, tree.Remove(root, "directory"u8), "unlinking a directory");
        Is(FileError.NotDirectory, tree.RemoveDirectory(root, "file"u8), "removing a file as a directory");
        Is(FileError.NotEmpty, tree.RemoveDirectory(root, "directory"u8), "removing a directory with something in it");
        Is(FileError.NotFound, tree.Remove(root, "nothing"u8), "unlinking what is not there");
        Is(FileError.IsDirectory, tree.Read(directory, 0, buffer, out _), "reading a directory as a file");
        Is(FileError.IsDirectory, tree.Write(directory, 0, buffer), "writing to a directory");
        Is(FileError.InvalidArgument, tree.Write(file, -1, buffer), "writing before the start");
        Is(FileError.FileTooLarge, tree.Write(file, long.MaxValue - 8, buffer), "writing beyond the largest file");
        Is(FileError.InvalidArgument, tree.SetAttributes(file, new AttributeChange { Size = -1 }, out _), "a negative size");
        Is(FileError.FileTooLarge, tree.SetAttributes(file, new AttributeChange { Size = long.MaxValue }, out _), "a size beyond the largest");
        Is(FileError.IsDirectory, tree.SetAttributes(directory, new AttributeChange { Size = 0 }, out _), "the size of a directory");
        Is(FileError.InvalidArgument, tree.Allocate(file, AllocationMode.Grow, 0, 0), "allocating nothing");
        Is(FileError.InvalidArgument, tree.ReadSymbolicLink(file, buffer, out _), "where a file points to");
        Is(FileError.BufferTooSmall, tree.ReadSymbolicLink(link.Node, buffer.AsSpan(0, 2), out int needed), "too small a buffer for a target");
        Expect.That(needed == 4, $"a target of 4 bytes is said to need {needed}");
        Is(FileError.NotDirectory, tree.GetParent(file, out _), "the parent of a file");
        Is(FileError.NotDirectory, tree.ReadDirectory(file, 0, new Page(1)), "listing a file");
        Is(FileError.NoData, tree.Seek(file, 0, forHole: false, out _), "data of an empty file");
        Is(FileError.Stale, tree.GetAttributes(999_999_999_999, out _), "a node that never was");
        Expect.That(TreeView.Difference(TreeReader.Read(tree), before, withTimes: true) is null, $"calls that were refused changed something: {TreeView.Difference(TreeReader.Read(tree), before, withTimes: true)}");
        subject.Close();
    }

    private static void Renames(TestedPipeline pipeline)
    {
        using var subject = new Subject(pipeline);
        (IFileTree tree, ulong root) = (subject.Tree, subject.Root);
        ulong a = subject.Create(root, "a"u8), d = subject.Create(root, "d"u8, DirectoryMode), e = subject.Create(root, "e"u8, DirectoryMode), inner = subject.Create(d, "inner"u8, DirectoryMode);
        Is(FileError.None, tree.Link(a, root, "twin"u8, out _), "a second name");
        Is(FileError.InvalidArgument, tree.Rename(root, "d"u8, inner, "d"u8, RenameMode.Replace), "a directory into itself");
        Is(FileError.InvalidArgument, tree.Rename(d, "inner"u8, root, "d"u8, RenameMode.Exchange), "exchanging a directory with one that it is in");
        Is(FileError.NotDirectory, tree.Rename(root, "d"u8, root, "a"u8, RenameMode.Replace), "a directory over a file");
        Is(FileError.IsDirectory, tree.Rename(root, "a"u8, root, "e"u8, RenameMode.Replace), "a file over a directory");
        Is(FileError.NotEmpty, tree.Rename(root, "e"u8, root, "d"u8, RenameMode.Replace), "a directory over one with something in it");
        Is(FileError.Exists, tree.Rename(root, "a"u8, root, "e"u8, RenameMode.Keep), "over what is to be kept");
        Is(FileError.NotFound, tree.Rename(root, "x"u8, root, "y"u8, RenameMode.Replace), "what is not there");
        Is(FileError.NotFound, tree.Rename(root, "a"u8, root, "x"u8, RenameMode.Exchange), "exchanging with what is not there");
        Is(FileError.None, tree.Rename(root, "a"u8, root, "twin"u8, RenameMode.Replace), "onto another name of the same node");
        Is(FileError.None, tree.Rename(root, "d"u8, root, "d"u8, RenameMode.Replace), "onto itself");
        Expect.That(Paths(tree).SequenceEqual(["", "a", "d", "d/inner", "e", "twin"]), $"renaming a name onto another one of the same node does nothing, but there is {string.Join(", ", Paths(tree))}");
        Is(FileError.None, tree.Rename(d, "inner"u8, root, "e"u8, RenameMode.Replace), "a directory over an empty one");
        Expect.That(tree.GetParent(inner, out ulong parent) == FileError.None && parent == root, "a directory that was moved names its old parent");
        Expect.That(Links(tree, d) == 2 && Links(tree, root) == 4, "the links of directories do not follow a rename");
        Is(FileError.None, tree.Rename(root, "twin"u8, root, "d"u8, RenameMode.Exchange), "exchanging a file and a directory");
        Expect.That(tree.Lookup(root, "d"u8, out NodeAttributes found) == FileError.None && found.Node == a, "after an exchange the names are as before");
        Is(FileError.None, tree.Rename(root, "a"u8, inner, "a"u8, RenameMode.Keep), "to another directory");
        Expect.That(Paths(tree).SequenceEqual(["", "d", "e", "e/a", "twin"]), $"after the renames there is {string.Join(", ", Paths(tree))}");
        subject.Close();
    }

    private static void Held(TestedPipeline pipeline)
    {
        using var subject = new Subject(pipeline);
        (IFileTree tree, ulong root) = (subject.Tree, subject.Root);
        ulong file = subject.Create(root, "file"u8), directory = subject.Create(root, "directory"u8, DirectoryMode), replaced = subject.Create(root, "replaced"u8);
        long free = tree.Statistics.FreeNodes;
        Is(FileError.None, tree.Write(file, 0, new byte[9000]), "writing");
        Is(FileError.None, tree.Remove(root, "file"u8), "unlinking what is held");
        Is(FileError.None, tree.RemoveDirectory(root, "directory"u8), "removing a directory that is held");
        subject.Create(root, "other"u8);
        Is(FileError.None, tree.Rename(root, "other"u8, root, "replaced"u8, RenameMode.Replace), "renaming over what is held");
        Is(FileError.None, tree.Write(file, 5, "still"u8), "writing to a file without a name");
        byte[] read = new byte[5];
        Expect.That(tree.Read(file, 5, read, out int count) == FileError.None && count == 5 && read.AsSpan().SequenceEqual("still"u8), "a file without a name does not keep its bytes");
        Expect.That(Links(tree, file) == 0 && Links(tree, directory) == 0 && Links(tree, replaced) == 0, "what has no name has links");
        Is(FileError.NotFound, tree.Create(directory, "x"u8, new NodeRequest(FileMode, 0, 0), out _), "making something in a directory that was removed");
        Is(FileError.NotFound, tree.Link(file, root, "again"u8, out _), "a new name for what has lost its last one");
        ulong made = subject.Create(root, "another"u8);
        Expect.That(made != file && made != directory && made != replaced, "the number of a held node was given to another one");
        foreach (ulong node in new[] { file, directory, replaced }) tree.Forget(node, 1);
        Is(FileError.Stale, tree.GetAttributes(file, out _), "a node without a name that nobody holds");
        Expect.That(tree.Statistics.FreeNodes >= free - 2, $"of {free} free nodes {tree.Statistics.FreeNodes} are left, though what was made in place of them is gone");
        subject.Close();
    }

    private static void Links(TestedPipeline pipeline)
    {
        using var subject = new Subject(pipeline);
        (IFileTree tree, ulong root) = (subject.Tree, subject.Root);
        ulong file = subject.Create(root, "file"u8), directory = subject.Create(root, "directory"u8, DirectoryMode);
        Is(FileError.None, tree.Link(file, directory, "second"u8, out NodeAttributes linked), "a second name");
        Expect.That(linked.Links == 2 && linked.Node == file, $"a file with two names has {linked.Links} links");
        Is(FileError.None, tree.Remove(root, "file"u8), "unlinking one of two names");
        Expect.That(Links(tree, file) == 1, "a file with one name left has not one link");
        subject.Create(directory, "sub"u8, DirectoryMode);
        Expect.That(Links(tree, directory) == 3 && Links(tree, root) == 3, "a directory has not 2 links and one more for each directory in it");
        Is(FileError.None, tree.RemoveDirectory(directory, "sub"u8), "removing a directory");
        Expect.That(Links(tree, directory) == 2, "the links of a directory do not follow a removal");
        subject.Close();
    }

    private static void Listing(TestedPipeline pipeline)
    {
        using var subject = new Subject(pipeline);
        (IFileTree tree, ulong root) = (subject.Tree, subject.Root);
        const int staying = 120;
        for (int i = 0; i < staying; i++) tree.Forget(subject.Create(root, Name($"stays {i}")), 1);
        var seen = new List<string>();
        ulong cursor = 0;
        for (int round = 0; round < 1000; round++)
        {
            var page = new Page(7);
            Is(FileError.None, tree.ReadDirectory(root, cursor, page), "listing");
            if (page.Names.Count == 0) break;
            seen.AddRange(page.Names);
            cursor = page.Last;
            if (round >= 20) continue;
            tree.Forget(subject.Create(root, Name($"comes {round} with a long name that takes room in a block of the directory {new string('.', 100)}")), 1);
            if (round % 3 == 2) Is(FileError.None, tree.Remove(root, Name($"comes {round - 1} with a long name that takes room in a block of the directory {new string('.', 100)}")), "removing");
        }

        string[] stayed = [.. seen.Where(name => name.StartsWith("stays", StringComparison.Ordinal))];
        Expect.That(stayed.Length == staying && stayed.Distinct().Count() == staying, $"of {staying} names that were there all the time {stayed.Distinct().Count()} were listed, {stayed.Length - stayed.Distinct().Count()} of them again");
        Expect.That(seen.Distinct().Count() == seen.Count, "a name was listed twice");
        subject.Close();
    }

    private static uint Links(IFileTree tree, ulong node) => tree.GetAttributes(node, out NodeAttributes attributes) == FileError.None ? attributes.Links : uint.MaxValue;

    private static string[] Paths(IFileTree tree) => [.. TreeReader.Read(tree).Paths.Keys];

    private static byte[] Name(string name) => Encoding.ASCII.GetBytes(name);

    private static void Is(FileError expected, FileError found, string what) => Expect.That(expected == found, $"{what}: {expected} is right, and it answers {found}");

    /// <summary>An open tree on a simulated machine.</summary>
    private sealed class Subject : IDisposable
    {
        private readonly TestedPipeline _pipeline;
        private OpenedSubject _opened;

        public Subject(TestedPipeline pipeline)
        {
            _pipeline = pipeline;
            Machine = pipeline.Create(ImageBytes, PersistenceModel.Pm);
            _opened = pipeline.Open(Machine);
        }

        public Machine Machine { get; }

        public IFileTree Tree => _opened.Image.GetCapability<IFileTree>() ?? throw new ConformanceException("the image offers no tree of files");

        public ulong Root => Tree.RootNode;

        /// <summary>Makes a node, which stays held.</summary>
        public ulong Create(ulong parent, ReadOnlySpan<byte> name, uint mode = FileMode)
        {
            FileError error = Tree.Create(parent, name, new NodeRequest(mode, 1000, 100), out NodeAttributes node);
            Is(FileError.None, error, $"making '{Encoding.Latin1.GetString(name)}'");
            return node.Node;
        }

        public void Reopen(bool readOnly = false)
        {
            Close();
            _opened.Dispose();
            _opened = _pipeline.Open(Machine, readOnly);
        }

        /// <summary>Closes it, and has the format check it.</summary>
        public void Close()
        {
            _opened.Image.Close();
            if (_pipeline.Check(Machine) is { } report) Expect.That(report.Corruptions + report.Leaks == 0, $"the check of the closed image finds: {string.Join("; ", report.Findings.Take(3))}");
        }

        public void Dispose() => _opened.Dispose();
    }

    private sealed class Page(int most) : IDirectoryVisitor
    {
        public List<string> Names { get; } = [];

        public ulong Last { get; private set; }

        public bool Visit(ReadOnlySpan<byte> name, ulong node, NodeKind kind, ulong next)
        {
            if (Names.Count == most) return false;
            Names.Add(Encoding.Latin1.GetString(name));
            Last = next;
            return true;
        }
    }
}
