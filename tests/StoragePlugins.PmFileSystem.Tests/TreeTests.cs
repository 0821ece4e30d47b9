using System.Text;

namespace StoragePlugins.PmFileSystem.Tests;

public class TreeTests
{
    [Fact]
    public void Twenty_thousand_names_are_found_listed_once_and_removed()
    {
        using var region = new Region(256L << 20);
        const int count = 20_000;
        region.System.CreateDirectory("d");
        for (int i = 0; i < count; i++) region.System.CreateFile($"d/file number {i}").Dispose();
        for (int i = 0; i < count; i += 7) Assert.True(region.System.Exists($"d/file number {i}"));
        Assert.False(region.System.Exists("d/file number x"));
        IReadOnlyList<string> names = region.System.List("d");
        Assert.Equal(count, names.Count);
        Assert.Equal(count, names.Distinct().Count());
        region.Reopen();
        for (int i = 0; i < count; i++) region.System.Delete($"d/file number {i}");
        Assert.Empty(region.System.List("d"));
        region.System.DeleteDirectory("d");
    }

    [Fact]
    public void A_listing_in_pieces_sees_what_stays_exactly_once_while_the_directory_changes()
    {
        using var region = new Region();
        for (int i = 0; i < 3000; i++) region.System.CreateFile($"stays {i}").Dispose();
        var seen = new List<string>();
        ulong cursor = 0;
        for (int round = 0; ; round++)
        {
            var page = new Page(37);
            Assert.Equal(FileError.None, region.Tree.ReadDirectory(1, cursor, page));
            if (page.Names.Count == 0) break;
            seen.AddRange(page.Names);
            cursor = page.Last;
            for (int i = 0; i < 20; i++) region.System.CreateFile($"comes {round} {i}").Dispose();
            if (round % 3 == 0) region.System.Delete($"comes {round} 3");
        }

        string[] stayed = [.. seen.Where(name => name.StartsWith("stays", StringComparison.Ordinal))];
        Assert.Equal(3000, stayed.Length);
        Assert.Equal(3000, stayed.Distinct().Count());
        Assert.Equal(seen.Count, seen.Distinct().Count());
    }

    [Fact]
    public void Names_are_bytes_up_to_255_of_them()
    {
        using var region = new Region();
        byte[][] names = [[0xff, 0xfe], [0xc3, 0x28], [.. Enumerable.Repeat((byte)'x', 255)], "..."u8.ToArray(), "ä ö"u8.ToArray()];
        foreach (byte[] name in names)
        {
            Assert.Equal(FileError.None, region.Tree.Create(1, name, File(), out NodeAttributes node));
            region.Tree.Forget(node.Node, 1);
            Assert.Equal(FileError.None, region.Tree.Lookup(1, name, out node));
            region.Tree.Forget(node.Node, 1);
        }

        Assert.Equal(FileError.NameTooLong, region.Tree.Create(1, new byte[256], File(), out _));
        foreach (string bad in (string[])["", ".", "..", "a/b", "a\0b"]) Assert.Equal(FileError.InvalidArgument, region.Tree.Create(1, Region.Name(bad), File(), out _));
        Assert.Equal(names.Length, region.System.List("").Count);
    }

    [Fact]
    public void Renaming_over_a_file_replaces_it_and_over_itself_does_nothing()
    {
        using var region = new Region();
        using (PmFile a = region.System.CreateFile("a")) a.Write(0, "content of a"u8);
        using (PmFile b = region.System.CreateFile("b")) b.Write(0, new byte[100_000]);
        long nodes = region.Tree.Statistics.FreeNodes;
        region.System.Move("a", "b", replace: true);
        Assert.Equal(nodes + 1, region.Tree.Statistics.FreeNodes);
        using (PmFile b = region.System.OpenFile("b")) Assert.Equal("content of a", Encoding.UTF8.GetString(FileTests.ReadAll(b)));
        Assert.Equal(["b"], region.System.List(""));
        region.System.Move("b", "b", replace: true);
        Assert.Throws<IOException>(() => region.System.Move("b", "b"));
    }

    [Fact]
    public void Directories_move_with_what_is_in_them_but_not_into_themselves()
    {
        using var region = new Region();
        foreach (string path in (string[])["a", "a/b", "a/b/c", "x"]) region.System.CreateDirectory(path);
        region.System.CreateFile("a/b/c/file").Dispose();
        region.System.Move("a/b", "x/b");
        Assert.True(region.System.Exists("x/b/c/file"));
        Assert.Equal(3u, region.System.GetAttributes("x").Links);
        Assert.Equal(2u, region.System.GetAttributes("a").Links);
        foreach (string into in (string[])["x/b/y", "x/b/c/y", "x/y"])
            Assert.Contains("InvalidArgument", Assert.Throws<IOException>(() => region.System.Move("x", into)).Message, StringComparison.Ordinal);
        Assert.Throws<IOException>(() => region.System.Move("a", "x", replace: true));
        region.System.Move("x/b/c", "a", replace: true);
        Assert.True(region.System.Exists("a/file"));
    }

    [Fact]
    public void Exchange_swaps_a_file_and_a_directory_of_different_directories()
    {
        using var region = new Region();
        region.System.CreateDirectory("d");
        region.System.CreateDirectory("d/sub");
        region.System.CreateFile("d/sub/inside").Dispose();
        region.System.CreateFile("file").Dispose();
        Lookup(region, 1, "d", out ulong directory);
        Assert.Equal(FileError.None, region.Tree.Rename(1, "file"u8, directory, "sub"u8, RenameMode.Exchange));
        Assert.True(region.System.Exists("file/inside"));
        Assert.Equal(NodeKind.File, region.System.GetAttributes("d/sub").Kind);
        Assert.Equal(2u, region.System.GetAttributes("d").Links);
        Assert.Equal(4u, region.System.GetAttributes("").Links);
        Assert.Equal(FileError.InvalidArgument, region.Tree.Rename(1, "d"u8, directory, "sub"u8, RenameMode.Exchange));
        Assert.Equal(FileError.NotFound, region.Tree.Rename(1, "d"u8, 1, "none"u8, RenameMode.Exchange));
        region.Tree.Forget(directory, 1);
    }

    [Fact]
    public void Links_count_and_the_last_name_frees()
    {
        using var region = new Region();
        using (PmFile a = region.System.CreateFile("a")) a.Write(0, "x"u8);
        Lookup(region, 1, "a", out ulong node);
        Assert.Equal(FileError.None, region.Tree.Link(node, 1, "b"u8, out NodeAttributes linked));
        Assert.Equal(2u, linked.Links);
        Assert.Equal(FileError.Exists, region.Tree.Link(node, 1, "b"u8, out _));
        Assert.Equal(FileError.NotPermitted, region.Tree.Link(1, 1, "root"u8, out _));
        region.Tree.Forget(node, 2);
        region.System.Delete("a");
        Assert.Equal(1u, region.System.GetAttributes("b").Links);
        long nodes = region.Tree.Statistics.FreeNodes;
        region.System.Delete("b");
        Assert.Equal(nodes + 1, region.Tree.Statistics.FreeNodes);
        Assert.Equal(FileError.Stale, region.Tree.GetAttributes(node, out _));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(128)]
    [InlineData(129)]
    [InlineData(4095)]
    public void Symbolic_links_keep_their_target(int length)
    {
        using var region = new Region();
        byte[] target = [.. Enumerable.Range(0, length).Select(i => (byte)('a' + (i % 26)))];
        Assert.Equal(FileError.None, region.Tree.CreateSymbolicLink(1, "l"u8, target, File(), out NodeAttributes node));
        region.Reopen();
        byte[] read = new byte[4096];
        Assert.Equal(FileError.None, region.Tree.ReadSymbolicLink(node.Node, read, out int got));
        Assert.Equal(target, read.AsSpan(0, got).ToArray());
        Assert.Equal(FileError.BufferTooSmall, region.Tree.ReadSymbolicLink(node.Node, [], out got));
        Assert.Equal(length, got);
        region.System.Delete("l");
        Assert.Equal(FileError.NameTooLong, region.Tree.CreateSymbolicLink(1, "m"u8, new byte[4096].Select(_ => (byte)'a').ToArray(), File(), out _));
    }

    [Fact]
    public void Extended_attributes_are_set_replaced_listed_and_removed()
    {
        using var region = new Region();
        region.System.CreateFile("a").Dispose();
        Lookup(region, 1, "a", out ulong node);
        IFileTree tree = region.Tree;
        Assert.Equal(FileError.NoAttribute, tree.GetExtendedAttribute(node, "user.a"u8, [], out _));
        Assert.Equal(FileError.None, tree.SetExtendedAttribute(node, "user.a"u8, "first"u8, AttributeMode.Create));
        Assert.Equal(FileError.Exists, tree.SetExtendedAttribute(node, "user.a"u8, "x"u8, AttributeMode.Create));
        Assert.Equal(FileError.NoAttribute, tree.SetExtendedAttribute(node, "user.b"u8, "x"u8, AttributeMode.Replace));
        Assert.Equal(FileError.None, tree.SetExtendedAttribute(node, "user.b"u8, new byte[3000], AttributeMode.Set));
        Assert.Equal(FileError.NoSpace, tree.SetExtendedAttribute(node, "user.c"u8, new byte[3000], AttributeMode.Set));
        Assert.Equal(FileError.None, tree.SetExtendedAttribute(node, "user.a"u8, "second"u8, AttributeMode.Replace));
        byte[] value = new byte[100];
        Assert.Equal(FileError.None, tree.GetExtendedAttribute(node, "user.a"u8, value, out int length));
        Assert.Equal("second", Encoding.UTF8.GetString(value, 0, length));
        Assert.Equal(FileError.BufferTooSmall, tree.GetExtendedAttribute(node, "user.b"u8, value, out length));
        Assert.Equal(3000, length);
        Assert.Equal(FileError.None, tree.ListExtendedAttributes(node, value, out length));
        Assert.Equal(["user.a", "user.b"], Encoding.UTF8.GetString(value, 0, length).TrimEnd('\0').Split('\0').Order());
        tree.Forget(node, 1);
        region.Reopen();
        Assert.Equal(FileError.None, region.Tree.RemoveExtendedAttribute(node, "user.b"u8));
        Assert.Equal(FileError.None, region.Tree.RemoveExtendedAttribute(node, "user.a"u8));
        Assert.Equal(FileError.NoAttribute, region.Tree.RemoveExtendedAttribute(node, "user.a"u8));
        Assert.Equal(0, region.System.GetAttributes("a").AllocatedBytes);
    }

    [Fact]
    public void Attributes_change_together_and_keep()
    {
        using var region = new Region();
        region.System.CreateFile("a").Dispose();
        Lookup(region, 1, "a", out ulong node);
        var change = new AttributeChange { Permissions = 0x9ed, UserId = 7, GroupId = 8, AccessTime = -5, ModificationTime = 1_000_000_007, Size = 12345 };
        Assert.Equal(FileError.None, region.Tree.SetAttributes(node, change, out NodeAttributes after));
        region.Tree.Forget(node, 1);
        region.Reopen();
        NodeAttributes kept = region.System.GetAttributes("a");
        Assert.Equal(after, kept);
        Assert.Equal((0x89edu, 7u, 8u, -5L, 1_000_000_007L, 12345L), (kept.Mode, kept.UserId, kept.GroupId, kept.AccessTime, kept.ModificationTime, kept.Size));
        Assert.Equal(FileError.IsDirectory, region.Tree.SetAttributes(1, new AttributeChange { Size = 0 }, out _));
    }

    [Fact]
    public void Errors_are_those_of_a_file_system()
    {
        using var region = new Region();
        region.System.CreateDirectory("d");
        region.System.CreateFile("f").Dispose();
        region.System.CreateFile("d/g").Dispose();
        IFileTree tree = region.Tree;
        Lookup(region, 1, "f", out ulong file);
        Assert.Equal(FileError.NotFound, tree.Remove(1, "none"u8));
        Assert.Equal(FileError.IsDirectory, tree.Remove(1, "d"u8));
        Assert.Equal(FileError.NotDirectory, tree.RemoveDirectory(1, "f"u8));
        Assert.Equal(FileError.NotEmpty, tree.RemoveDirectory(1, "d"u8));
        Assert.Equal(FileError.NotDirectory, tree.Lookup(file, "x"u8, out _));
        Assert.Equal(FileError.Exists, tree.Create(1, "f"u8, File(), out _));
        Assert.Equal(FileError.IsDirectory, tree.Read(1, 0, new byte[1], out _));
        Assert.Equal(FileError.InvalidArgument, tree.Write(file, -1, new byte[1]));
        Assert.Equal(FileError.FileTooLarge, tree.Write(file, long.MaxValue - 5, new byte[5]));
        Assert.Equal(FileError.Stale, tree.GetAttributes(4711, out _));
        Assert.Equal(FileError.Stale, tree.GetAttributes(ulong.MaxValue, out _));
        Assert.Equal(FileError.NotDirectory, tree.Rename(1, "d"u8, 1, "f"u8, RenameMode.Replace));
        Assert.Equal(FileError.IsDirectory, tree.Rename(1, "f"u8, 1, "d"u8, RenameMode.Replace));
        Assert.Equal(FileError.Exists, tree.Rename(1, "f"u8, 1, "d"u8, RenameMode.Keep));
        Assert.Equal(FileError.NoData, tree.Seek(file, 0, forHole: false, out _));
        tree.Forget(file, 1);
    }

    [Fact]
    public void No_inode_left_is_no_space_and_nothing_is_half_made()
    {
        using var region = new Region(2L << 20, new PmFormatOptions { BytesPerInode = 32768 });
        long free = region.Tree.Statistics.FreeNodes;
        for (int i = 0; i < free; i++) region.System.CreateFile($"{i}").Dispose();
        Assert.Equal(StorageError.NoSpace, Assert.Throws<StorageException>(() => region.System.CreateFile("one more")).Error);
        Assert.Equal(FileError.Exists, region.Tree.Create(1, "0"u8, File(), out _));
        region.System.Delete("0");
        region.System.CreateFile("one more").Dispose();
    }

    [Fact]
    public void Threads_that_work_in_one_tree_leave_it_in_order()
    {
        using var region = new Region(128L << 20);
        var failures = new List<Exception>();
        Thread[] threads = [.. Enumerable.Range(0, 6).Select(t => new Thread(() =>
        {
            try
            {
                Hammer(region, t);
            }
            catch (Exception e)
            {
                lock (failures) failures.Add(e);
            }
        }))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        Assert.Empty(failures);
        region.Reopen();
    }

    // Names and directories that all threads share: whatever an operation meets is right, as long as it is an answer.
    private static void Hammer(Region region, int seed)
    {
        var random = new Random(seed);
        byte[] data = FileTests.Random(40_000, seed);
        var held = new List<ulong>();
        IFileTree tree = region.Tree;
        for (int i = 0; i < 4000; i++)
        {
            ulong a = held.Count > 0 && random.Next(3) > 0 ? held[random.Next(held.Count)] : 1, b = held.Count > 0 && random.Next(2) == 0 ? held[random.Next(held.Count)] : 1;
            ReadOnlySpan<byte> name = Region.Name($"n{random.Next(12)}"), other = Region.Name($"n{random.Next(12)}");
            switch (random.Next(10))
            {
                case 0 or 1:
                    if (tree.Create(a, name, new NodeRequest(((uint)(random.Next(2) == 0 ? NodeKind.File : NodeKind.Directory) << 12) | 0x1ff, 0, 0), out NodeAttributes made) == FileError.None) held.Add(made.Node);
                    break;
                case 2:
                    if (tree.Lookup(a, name, out NodeAttributes found) == FileError.None) held.Add(found.Node);
                    break;
                case 3:
                    tree.Remove(a, name);
                    break;
                case 4:
                    tree.RemoveDirectory(a, name);
                    break;
                case 5 or 6:
                    tree.Rename(a, name, b, other, (RenameMode)random.Next(3));
                    break;
                case 7:
                    if (tree.Link(a, b, name, out NodeAttributes linked) == FileError.None) held.Add(linked.Node);
                    break;
                case 8:
                    tree.Append(a, data.AsSpan(0, random.Next(1, data.Length)), out _);
                    break;
                default:
                    tree.SetAttributes(a, new AttributeChange { Size = random.Next(50_000) }, out _);
                    break;
            }

            while (held.Count > 20)
            {
                tree.Closed(held[0]);
                tree.Forget(held[0], 1);
                held.RemoveAt(0);
            }
        }

        foreach (ulong node in held) tree.Forget(node, 1);
    }

    private static void Lookup(Region region, ulong parent, string name, out ulong node)
    {
        Assert.Equal(FileError.None, region.Tree.Lookup(parent, Region.Name(name), out NodeAttributes attributes));
        node = attributes.Node;
    }

    private static NodeRequest File() => new(((uint)NodeKind.File << 12) | 0x1a4, 0, 0);

    private sealed class Page(int limit) : IDirectoryVisitor
    {
        public List<string> Names { get; } = [];

        public ulong Last { get; private set; }

        public bool Visit(ReadOnlySpan<byte> name, ulong node, NodeKind kind, ulong next)
        {
            if (Names.Count == limit) return false;
            Names.Add(Encoding.UTF8.GetString(name));
            Last = next;
            return true;
        }
    }
}
