using System.Text;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Tests;

/// <summary>Images in which something else has written.</summary>
public sealed class DamagedImageTests : IDisposable
{
    private const long Size = 4L << 20;
    private static readonly int s_trials = Environment.GetEnvironmentVariable("STORAGEPLUGINS_LONG") == "1" ? 10_000 : 500;

    private readonly string _file = Path.Combine(Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath(), $"sp-fuzz-{Guid.NewGuid():N}");

    public void Dispose() => File.Delete(_file);

    [Theory]
    [InlineData(true, 1)]
    [InlineData(false, 2)]
    public void Whatever_is_flipped_is_refused_reported_or_harmless_and_nothing_hangs(bool wasClosed, int seed)
    {
        byte[] image = Sample(wasClosed);
        Geometry geometry = Geometry.Read("sample", image, image.Length);
        var random = new Random(seed);
        int refused = 0, reported = 0, harmless = 0;
        for (int trial = 0; trial < s_trials; trial++)
        {
            byte[] damaged = (byte[])image.Clone();
            string what = Damage(damaged, geometry, random);
            File.WriteAllBytes(_file, damaged);
            CheckReport report = Check();
            string? failure = Use();
            if (failure is null) harmless++;
            else if (failure.StartsWith("SP", StringComparison.Ordinal)) refused++;
            else reported++;
            Assert.True(failure is null || report.Corruptions > 0, $"trial {trial}, {what}: the check finds nothing, but: {failure}");
        }

        // The damage is real: were it all harmless, this would test nothing.
        Assert.True(refused > s_trials / 100 && reported > s_trials / 20 && harmless > s_trials / 20, $"{refused} refused, {reported} reported, {harmless} harmless");
    }

    [Fact]
    public void A_cut_image_is_refused()
    {
        byte[] image = Sample(wasClosed: true);
        foreach (int length in (int[])[0, 1, 100, 255, 256, 4096, 65536, image.Length - 4096, image.Length - 1])
        {
            File.WriteAllBytes(_file, image[..length]);
            Assert.True(Check().Corruptions > 0);
            string? failure = Use();
            Assert.True(failure is not null && failure.StartsWith("SP", StringComparison.Ordinal), $"{length} bytes: {failure}");
        }
    }

    [Fact]
    public void A_newer_version_and_unknown_features_are_refused_as_such()
    {
        byte[] image = Sample(wasClosed: true);
        image[8] = 2;
        File.WriteAllBytes(_file, image);
        Assert.StartsWith("SP3203", Use(), StringComparison.Ordinal);
        image[8] = 1;
        image[128] = 1;
        byte[] superblock = image[..256];
        superblock.AsSpan(12, 4).Clear();
        BitConverter.TryWriteBytes(image.AsSpan(12), Crc.Of(superblock, 0));
        File.WriteAllBytes(_file, image);
        Assert.StartsWith("SP3203", Use(), StringComparison.Ordinal);
    }

    // Bits, bytes, words or a block, mostly where structures are.
    private static string Damage(byte[] image, Geometry geometry, Random random)
    {
        (long from, long to) = random.Next(8) switch
        {
            0 => (0, PmLayout.BlockBytes),
            1 => (geometry.Journal, geometry.BlockBitmap),
            2 => (geometry.BlockBitmap, geometry.InodeTable),
            3 or 4 => (geometry.InodeTable, geometry.InodeTable + (40 * PmLayout.InodeBytes)),
            _ => (geometry.FirstDataBlock << PmLayout.BlockShift, (geometry.FirstDataBlock + 80) << PmLayout.BlockShift),
        };
        int at = (int)random.NextInt64(from, to);
        switch (random.Next(5))
        {
            case 0 or 1:
                image[at] ^= (byte)(1 << random.Next(8));
                return $"a bit at {at}";
            case 2:
                random.NextBytes(image.AsSpan(at, Math.Min(random.Next(1, 9), image.Length - at)));
                return $"some bytes at {at}";
            case 3:
                int word = at & ~7;
                BitConverter.TryWriteBytes(image.AsSpan(word), random.Next(2) == 0 ? 0L : random.NextInt64(0, geometry.Blocks));
                return $"a word at {word}";
            default:
                int block = at & ~4095;
                random.NextBytes(image.AsSpan(block, 4096));
                return $"the block at {block}";
        }
    }

    private CheckReport Check()
    {
        using IStorageMedium medium = new Media.FileMediumFactory().Open(new MediumRequest { Location = _file, ReadOnly = true, OpenInner = () => throw new InvalidOperationException() }, Region.Context());
        return new PmFormat().Check(medium, RepairMode.None, Region.Context());
    }

    // Opens, reads everything, changes something, closes. Null, or what went wrong.
    private string? Use()
    {
        try
        {
            using PmFileSystem system = PmFileSystem.Open(_file, new PmOpenOptions { Emulated = true });
            ReadAll(system.Tree, system.Tree.RootNode, 0);
            using (PmFile file = system.CreateFile("made afterwards")) file.Write(0, new byte[10_000]);
            system.Close();
            return null;
        }
        catch (DiagnosticException refusal)
        {
            return $"{refusal.Code}: {refusal.Message}";
        }
        catch (IOException failure)
        {
            return failure.Message;
        }
    }

    private static void ReadAll(IFileTree tree, ulong directory, int depth)
    {
        if (depth > 100) throw new IOException("directories without end");
        var entries = new Entries();
        Require(tree.ReadDirectory(directory, 0, entries));
        byte[] buffer = new byte[64 << 10];
        foreach ((byte[] name, NodeKind kind) in entries.Found)
        {
            Require(tree.Lookup(directory, name, out NodeAttributes node));
            if (node.Kind != kind) throw new IOException($"'{Encoding.UTF8.GetString(name)}' is a {node.Kind}, its name says {kind}");
            Require(tree.ListExtendedAttributes(node.Node, buffer, out _));
            if (kind == NodeKind.Directory) ReadAll(tree, node.Node, depth + 1);
            else if (kind == NodeKind.SymbolicLink) Require(tree.ReadSymbolicLink(node.Node, buffer, out _));
            else if (kind == NodeKind.File) ReadFile(tree, node, buffer);
            tree.Forget(node.Node, 1);
        }
    }

    private static void ReadFile(IFileTree tree, NodeAttributes node, byte[] buffer)
    {
        long at = 0;
        while (tree.Seek(node.Node, at, forHole: false, out long data) == FileError.None)
        {
            Require(tree.Seek(node.Node, data, forHole: true, out long end));
            for (at = data; at < end; at += buffer.Length) Require(tree.Read(node.Node, at, buffer, out _));
            at = end;
        }
    }

    private static void Require(FileError error)
    {
        if (error != FileError.None) throw new IOException($"{error}");
    }

    private byte[] Sample(bool wasClosed)
    {
        PmFileSystem.Format(_file, Size);
        byte[] image;
        using (PmFileSystem system = PmFileSystem.Open(_file, new PmOpenOptions { Emulated = true }))
        {
            system.CreateDirectory("d");
            system.CreateDirectory("d/e");
            for (int i = 0; i < 300; i++)
            {
                using PmFile file = system.CreateFile($"d/a file with a name of some length {i}");
                if (i < 15) file.Write(i * 1000, FileTests.Random(5000, i));
            }

            for (int i = 290; i >= 20; i--) system.Delete($"d/a file with a name of some length {i}");
            using (PmFile sparse = system.CreateFile("d/e/sparse"))
            {
                sparse.Write(100_000, FileTests.Random(100_000, 1));
                sparse.Write(5L << 30, FileTests.Random(5000, 2));
            }

            IFileTree tree = system.Tree;
            var request = new NodeRequest(0xa1ff, 0, 0);
            Require(tree.CreateSymbolicLink(1, "short"u8, "d/e"u8, request, out NodeAttributes node));
            Require(tree.CreateSymbolicLink(1, "long"u8, Encoding.UTF8.GetBytes(new string('x', 500)), request, out _));
            Require(tree.SetExtendedAttribute(node.Node, "user.a"u8, "value"u8, AttributeMode.Set));
            Require(tree.Link(tree.Lookup(1, "long"u8, out node) == FileError.None ? node.Node : 0, 1, "linked"u8, out _));
            if (wasClosed) system.Close();
            image = File.ReadAllBytes(_file);
        }

        return image;
    }

    private sealed class Entries : IDirectoryVisitor
    {
        public List<(byte[] Name, NodeKind Kind)> Found { get; } = [];

        public bool Visit(ReadOnlySpan<byte> name, ulong node, NodeKind kind, ulong next)
        {
            Found.Add((name.ToArray(), kind));
            return true;
        }
    }
}
