using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Trees;

namespace StoragePlugins.CrashKit.Contracts;

// Bytes, attributes, space, threads, power cuts.
public static partial class FileTreeCases
{
    private const int Threads = 4, FilesAThread = 25, ModelWorkloads = 60;

    private static void Sparse(TestedPipeline pipeline)
    {
        using var subject = new Subject(pipeline);
        (IFileTree tree, ulong root) = (subject.Tree, subject.Root);
        ulong file = subject.Create(root, "file"u8);
        const long far = 5L << 30;
        Is(FileError.None, tree.Write(file, far, "end"u8), "writing far behind the end");
        Expect.That(tree.GetAttributes(file, out NodeAttributes attributes) == FileError.None && attributes.Size == far + 3, "the size is not where the last byte was written");
        Expect.That(attributes.AllocatedBytes < 1 << 20, $"a file with 3 bytes in it takes {attributes.AllocatedBytes}");
        byte[] read = new byte[8192];
        Expect.That(tree.Read(file, far - 4096, read, out int count) == FileError.None && count == 4099 && !read.AsSpan(0, 4096).ContainsAnyExcept((byte)0), "a hole does not read as zeros");
        Expect.That(tree.Read(file, far + 3, read, out count) == FileError.None && count == 0, "there is something behind the end");
        Expect.That(tree.Seek(file, 0, forHole: false, out long data) == FileError.None && data > 0 && data <= far, "no data is found behind a hole");
        Expect.That(tree.Seek(file, far, forHole: true, out long hole) == FileError.None && hole == far + 3, "the end does not count as a hole");
        byte[] ones = new byte[20000];
        Array.Fill(ones, (byte)1);
        ulong cut = subject.Create(root, "cut"u8);
        Is(FileError.None, tree.Write(cut, 0, ones), "writing");
        Is(FileError.None, tree.SetAttributes(cut, new AttributeChange { Size = 100 }, out _), "cutting");
        Is(FileError.None, tree.SetAttributes(cut, new AttributeChange { Size = 9000 }, out _), "lengthening");
        Expect.That(tree.Read(cut, 0, read, out _) == FileError.None && !read.AsSpan(100, 8000).ContainsAnyExcept((byte)0) && read[99] == 1, "what was cut off is seen again");
        Is(FileError.None, tree.Append(cut, "x"u8, out long offset), "appending");
        Expect.That(offset == 9000, $"an append to a file of 9000 bytes landed at {offset}");
        Is(FileError.None, tree.Allocate(cut, AllocationMode.PunchHole, 10, 50), "punching a hole");
        Expect.That(tree.Read(cut, 0, read, out _) == FileError.None && !read.AsSpan(10, 50).ContainsAnyExcept((byte)0) && read[9] == 1 && read[60] == 1, "a hole is not where it was punched");
        Is(FileError.None, tree.Allocate(cut, AllocationMode.Grow, 0, 30000), "allocating");
        Expect.That(tree.GetAttributes(cut, out attributes) == FileError.None && attributes.Size == 30000, "allocating did not lengthen the file");
        Is(FileError.None, tree.Allocate(cut, AllocationMode.KeepSize, 0, 60000), "allocating behind the end");
        Expect.That(tree.GetAttributes(cut, out attributes) == FileError.None && attributes.Size == 30000, "allocating changed the size that was to be kept");
        subject.Close();
    }

    private static void Attributes(TestedPipeline pipeline)
    {
        using var subject = new Subject(pipeline);
        ulong file = subject.Create(subject.Root, "file"u8);
        Expect.That(subject.Tree.GetAttributes(file, out NodeAttributes made) == FileError.None && made is { Mode: FileMode, UserId: 1000, GroupId: 100, Links: 1, Size: 0 }, "a new file is not as it was asked for");
        var change = new AttributeChange { Permissions = 0xfff, UserId = 7, GroupId = 8, AccessTime = -5_000_000_000, ModificationTime = 4_102_444_800_123_456_789 };
        Is(FileError.None, subject.Tree.SetAttributes(file, change, out NodeAttributes changed), "setting attributes");
        Expect.That(changed.Mode == (((uint)NodeKind.File << 12) | 0xfff) && changed is { UserId: 7, GroupId: 8, AccessTime: -5_000_000_000, ModificationTime: 4_102_444_800_123_456_789 }, $"attributes do not read back: {changed}");
        Expect.That(changed.ChangeTime >= made.ChangeTime && changed.BirthTime == made.BirthTime, "the change time went back, or the birth time changed");
        Is(FileError.None, subject.Tree.Create(subject.Root, "device"u8, new NodeRequest(((uint)NodeKind.CharacterDevice << 12) | 0x1b6, 0, 0, 0x0103), out NodeAttributes device), "making a device");
        subject.Reopen();
        Expect.That(subject.Tree.Lookup(subject.Root, "file"u8, out NodeAttributes again) == FileError.None, "a file is gone after a close");
        Expect.That(again == changed, $"after a close the attributes are others: {again}");
        Expect.That(subject.Tree.Lookup(subject.Root, "device"u8, out NodeAttributes same) == FileError.None && same.Device == device.Device && same.Device == 0x0103, "the number of a device is not kept");
        subject.Close();
    }

    private static void Extended(TestedPipeline pipeline)
    {
        using var subject = new Subject(pipeline);
        (IFileTree tree, ulong node) = (subject.Tree, subject.Create(subject.Root, "file"u8));
        Is(FileError.NoAttribute, tree.GetExtendedAttribute(node, "user.a"u8, [], out _), "an attribute that is not there");
        Is(FileError.NoAttribute, tree.SetExtendedAttribute(node, "user.a"u8, "x"u8, AttributeMode.Replace), "replacing an attribute that is not there");
        Is(FileError.None, tree.SetExtendedAttribute(node, "user.a"u8, "value"u8, AttributeMode.Create), "making an attribute");
        Is(FileError.Exists, tree.SetExtendedAttribute(node, "user.a"u8, "x"u8, AttributeMode.Create), "making an attribute that is there");
        Is(FileError.None, tree.SetExtendedAttribute(node, "user.empty"u8, [], AttributeMode.Set), "an empty value");
        byte[] buffer = new byte[100];
        Is(FileError.BufferTooSmall, tree.GetExtendedAttribute(node, "user.a"u8, buffer.AsSpan(0, 2), out _), "too small a buffer for a value");
        Expect.That(tree.GetExtendedAttribute(node, "user.a"u8, [], out int length) == FileError.None && length == 5, $"a value of 5 bytes has {length}");
        Expect.That(tree.GetExtendedAttribute(node, "user.a"u8, buffer, out length) == FileError.None && buffer.AsSpan(0, length).SequenceEqual("value"u8), "a value does not read back");
        Expect.That(tree.ListExtendedAttributes(node, [], out length) == FileError.None && length == 18, $"two names of 6 and 10 bytes with their zeros have {length}");
        Is(FileError.BufferTooSmall, tree.ListExtendedAttributes(node, buffer.AsSpan(0, 3), out _), "too small a buffer for names");
        Is(FileError.None, tree.RemoveExtendedAttribute(node, "user.a"u8), "removing");
        Is(FileError.NoAttribute, tree.RemoveExtendedAttribute(node, "user.a"u8), "removing again");
        Expect.That(tree.ListExtendedAttributes(node, buffer, out length) == FileError.None && buffer.AsSpan(0, length).SequenceEqual("user.empty\0"u8), "the names that are left are not listed");
        subject.Close();
    }

    private static void Full(TestedPipeline pipeline)
    {
        using var subject = new Subject(pipeline);
        (IFileTree tree, ulong root) = (subject.Tree, subject.Root);
        ulong file = subject.Create(root, "file"u8), small = subject.Create(root, "small"u8);
        Is(FileError.None, tree.Write(small, 0, "kept"u8), "writing");
        byte[] piece = new byte[100_000];
        FileError error = FileError.None;
        for (int i = 0; i < 1000 && error == FileError.None; i++) error = tree.Append(file, piece, out _);
        Is(FileError.NoSpace, error, "filling the tree");
        for (error = FileError.None; error == FileError.None;) error = tree.Append(file, piece.AsSpan(0, 4096), out _);
        Is(FileError.NoSpace, error, "filling the rest");
        TreeView before = TreeReader.Read(tree);
        foreach (int length in new[] { 1 << 20, 100_000 }) Is(FileError.NoSpace, tree.Write(small, 0, new byte[length]), $"writing {length} bytes to a full tree");
        Is(FileError.NoSpace, tree.Allocate(small, AllocationMode.Grow, 0, 1 << 20), "allocating in a full tree");
        Expect.That(TreeView.Difference(TreeReader.Read(tree), before, withTimes: true) is null, $"a full tree refused, and changed something: {TreeView.Difference(TreeReader.Read(tree), before, withTimes: true)}");
        Is(FileError.None, tree.Remove(root, "file"u8), "unlinking in a full tree");
        tree.Forget(file, 1);
        Is(FileError.None, tree.Write(small, 0, new byte[1 << 20]), "writing where there is room again");
        subject.Close();
    }

    private static void ReadOnly(TestedPipeline pipeline)
    {
        using var subject = new Subject(pipeline);
        ulong file = subject.Create(subject.Root, "file"u8);
        Is(FileError.None, subject.Tree.Write(file, 0, "bytes"u8), "writing");
        subject.Reopen(readOnly: true);
        (IFileTree tree, ulong root) = (subject.Tree, subject.Root);
        byte[] image = subject.Machine.Devices[0].Image.ToArray(), read = new byte[5];
        Expect.That(tree.IsReadOnly, "a tree opened for reading does not say so");
        Expect.That(tree.Lookup(root, "file"u8, out NodeAttributes found) == FileError.None && tree.Read(found.Node, 0, read, out _) == FileError.None && read.AsSpan().SequenceEqual("bytes"u8), "it cannot be read");
        Is(FileError.ReadOnly, tree.Create(root, "new"u8, new NodeRequest(FileMode, 0, 0), out _), "making a file");
        Is(FileError.ReadOnly, tree.Write(found.Node, 0, "x"u8), "writing");
        Is(FileError.ReadOnly, tree.SetAttributes(found.Node, new AttributeChange { Permissions = 0 }, out _), "setting attributes");
        Is(FileError.ReadOnly, tree.Remove(root, "file"u8), "unlinking");
        Is(FileError.ReadOnly, tree.Rename(root, "file"u8, root, "new"u8, RenameMode.Replace), "renaming");
        Is(FileError.ReadOnly, tree.Link(found.Node, root, "new"u8, out _), "linking");
        Is(FileError.ReadOnly, tree.Allocate(found.Node, AllocationMode.Grow, 0, 10), "allocating");
        Is(FileError.ReadOnly, tree.SetExtendedAttribute(found.Node, "user.a"u8, "x"u8, AttributeMode.Set), "setting an extended attribute");
        tree.Forget(found.Node, 1);
        subject.Close();
        Expect.That(subject.Machine.Devices[0].Image.ToArray().AsSpan().SequenceEqual(image), "a tree opened for reading was changed");
    }

    private static void Concurrent(TestedPipeline pipeline, ConformanceSettings settings)
    {
        using var subject = new Subject(pipeline);
        IFileTree tree = subject.Tree;
        ulong[] directories = [.. Enumerable.Range(0, Threads).Select(t => subject.Create(subject.Root, Name($"d{t}"), DirectoryMode))];
        var problems = new System.Collections.Concurrent.ConcurrentQueue<Exception>();
        Thread[] threads = [.. directories.Select((directory, t) => new Thread(() =>
        {
            try
            {
                WorkIn(subject, directory, t, new Random(settings.Seed + t));
            }
            catch (Exception problem)
            {
                problems.Enqueue(problem);
            }
        }))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        if (problems.TryDequeue(out Exception? first)) throw new ConformanceException($"beside other threads: {first.Message}", first);
        for (int t = 0; t < Threads; t++)
        {
            byte[] read = new byte[6000];
            for (int i = 0; i < FilesAThread; i++)
            {
                Is(FileError.None, tree.Lookup(directories[t], Name($"kept {i}"), out NodeAttributes node), "finding what a thread made");
                Expect.That(tree.Read(node.Node, 0, read, out int count) == FileError.None && count == 1 + (i * 200) && !read.AsSpan(0, count).ContainsAnyExcept((byte)(t + 1)), $"file {i} of thread {t} does not hold what it wrote");
                tree.Forget(node.Node, 1);
            }
        }

        subject.Close();
    }

    private static void WorkIn(Subject subject, ulong directory, int thread, Random random)
    {
        IFileTree tree = subject.Tree;
        byte[] bytes = new byte[6000];
        Array.Fill(bytes, (byte)(thread + 1));
        for (int i = 0; i < FilesAThread; i++)
        {
            ulong file = subject.Create(directory, Name($"file {i}"));
            Is(FileError.None, tree.Write(file, 0, bytes.AsSpan(0, 1 + (i * 200))), "writing");
            Is(FileError.None, tree.Rename(directory, Name($"file {i}"), directory, Name($"kept {i}"), RenameMode.Replace), "renaming");
            tree.Forget(file, 1);
            // All of them come and go in one place too.
            FileError error = tree.Create(subject.Root, Name($"shared {random.Next(4)}"), new NodeRequest(FileMode, 0, 0), out NodeAttributes shared);
            if (error == FileError.None) tree.Forget(shared.Node, 1);
            Expect.That(error is FileError.None or FileError.Exists, $"making what others make too answers {error}");
            error = tree.Remove(subject.Root, Name($"shared {random.Next(4)}"));
            Expect.That(error is FileError.None or FileError.NotFound, $"unlinking what others unlink too answers {error}");
        }
    }

    private static void AgreesWithModel(TestedPipeline pipeline, ConformanceSettings settings)
    {
        for (int i = 0; i < ModelWorkloads; i++)
        {
            TreeRun run = TreeRun.Execute(pipeline, TreeWorkloadPlan.Fuzzed(settings.Seed, i), PersistenceDomain.Adr);
            if (run.Problem is { } problem) throw new ConformanceException(problem.Message, problem);
        }
    }

    private static void PowerCuts(TestedPipeline pipeline, ConformanceSettings settings)
    {
        CrashTestReport report = new TreeCrashTest([pipeline], new CrashTestSettings { Budget = settings.Budget, Seed = settings.Seed, Model = PersistenceModel.Pm }).Run();
        if (report.TreeFailures is [TreeFailure failure, ..]) throw new ConformanceException(string.Join('\n', failure.Describe()));
        Expect.That(report.JudgedStates > 0, "no state was judged in the time");
    }
}
