using System.Text;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Tests.Journal;

/// <summary>The in-use mark in the header: what QEMU makes of it, and what every crash while it is set, renewed or cleared leaves.</summary>
public sealed class JournalMarkTests : ScratchFolder
{
    [Fact]
    public void Marked_image_is_refused_by_qemu_with_a_readable_message_and_plain_again_afterwards()
    {
        string path = PathOf("a.qcow2");
        Qemu.Img("create", "-f", "qcow2", path, "1G");
        byte[] before = File.ReadAllBytes(path);

        Set(path, 1);
        (int code, _, string refusal) = Qemu.Run("qemu-img", "info", path);
        Clear(path);

        Assert.NotEqual(0, code);
        Assert.Contains("journal in use, run: sphost image recover", refusal, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(path));
        Qemu.Img("check", path);
    }

    [Fact]
    public void Backing_file_name_that_stands_in_the_way_is_moved_and_kept()
    {
        string path = PathOf("a.qcow2");
        Qemu.Img("create", "-f", "raw", PathOf("base-of-a-longer-name.raw"), "1G");
        Qemu.Img("create", "-f", "qcow2", "-b", "base-of-a-longer-name.raw", "-F", "raw", path);

        Set(path, 1);
        using (var medium = new TestFileMedium(path)) Assert.Equal("base-of-a-longer-name.raw", Qcow2Header.Read(medium).BackingFile);
        Clear(path);

        Assert.Contains("base-of-a-longer-name.raw", Qemu.Img("info", path), StringComparison.Ordinal);
        Qemu.Img("check", path);
    }

    [Theory]
    [InlineData(null, "64k")]
    [InlineData("base.raw", "64k")]
    [InlineData(null, "4k")]
    public void Every_crash_while_marking_leaves_a_header_as_before_or_as_after(string? backing, string clusterSize)
    {
        string path = PathOf("a.qcow2");
        Qemu.Img("create", "-f", "raw", PathOf("base.raw"), "1G");
        Qemu.Img([.. (string[])["create", "-f", "qcow2", "-o", $"cluster_size={clusterSize}"], .. backing is null ? (string[])[] : ["-b", backing, "-F", "raw"], path, "1G"]);
        byte[] start = File.ReadAllBytes(path)[..4096];

        var log = new HeaderLog(start);
        var store = new JournalMarkStore(Qcow2Header.Read(new FixedMedium(log.Now, 1 << 20)), log, log.Flush);
        Guid id = Guid.NewGuid();
        int states = 0;
        for (ulong epoch = 1; epoch <= 3; epoch++)
        {
            ulong now = epoch;
            store.Set(Mark(id, now));
            states += log.ForEachCrash(image => AssertReads(image, backing, epochs: [now - 1, now]));
        }

        store.Clear();
        states += log.ForEachCrash(image => AssertReads(image, backing, epochs: [0, 3]));
        AssertReads(log.Now, backing, [0]);
        Assert.True(states >= 15, $"{states} states are too few to say anything");
    }

    [Fact]
    public void Torn_mark_is_found_out_and_the_one_before_holds()
    {
        byte[] extension = new byte[JournalMark.ExtensionBytes];
        Guid id = Guid.NewGuid();
        Mark(id, 6).Encode(extension);
        Mark(id, 7).Encode(extension.AsSpan(JournalMark.SlotBytes));
        Assert.Equal(7ul, JournalMark.Newest(extension)!.Epoch);

        for (int i = 0; i < JournalMark.SlotBytes; i++)
        {
            byte[] torn = [.. extension];
            torn[JournalMark.SlotBytes + i] ^= 0x10;
            Assert.Equal(6ul, JournalMark.Newest(torn)!.Epoch);
        }

        extension.AsSpan().Clear();
        Assert.Null(JournalMark.Newest(extension));
    }

    [Fact]
    public void Image_of_version_2_and_one_with_tiny_clusters_say_why_they_cannot_be_marked()
    {
        Qemu.Img("create", "-f", "qcow2", "-o", "compat=0.10", PathOf("old"), "1G");
        Qemu.Img("create", "-f", "qcow2", "-o", "cluster_size=512", PathOf("tiny"), "1M");
        Assert.Contains("version 2", WhyNot(PathOf("old")), StringComparison.Ordinal);
        Assert.Contains("no room", WhyNot(PathOf("tiny")), StringComparison.Ordinal);
    }

    [Fact]
    public void Slots_left_by_an_earlier_journal_never_win_over_a_new_mark()
    {
        string path = PathOf("a.qcow2");
        Qemu.Img("create", "-f", "qcow2", path, "1G");
        Set(path, 8);
        AppendForeignExtension(path);
        Clear(path);
        using (var medium = new TestFileMedium(path)) Assert.NotNull(Qcow2Header.Read(medium).JournalExtension);

        Guid id = Guid.NewGuid();
        using (var medium = new TestFileMedium(path)) Store(medium).Set(Mark(id, 1));
        using (var medium = new TestFileMedium(path))
        {
            JournalMark mark = Store(medium).Current!;
            Assert.Equal((id, 1ul), (mark.ImageId, mark.Epoch));
        }
    }

    [Fact]
    public void Header_whose_extensions_end_at_the_backing_files_name_without_a_marker_is_not_marked()
    {
        string path = PathOf("a.qcow2");
        Qemu.Img("create", "-f", "raw", PathOf("base.raw"), "1G");
        Qemu.Img("create", "-f", "qcow2", "-b", "base.raw", "-F", "raw", path);
        byte[] start = File.ReadAllBytes(path)[..4096];
        // The name moves to where the end marker was.
        int end = Qcow2Header.Read(new FixedMedium(start, 1 << 20)).Places.End;
        "base.raw"u8.CopyTo(start.AsSpan(end));
        System.Buffers.Binary.BinaryPrimitives.WriteInt64BigEndian(start.AsSpan(8), end);

        var log = new HeaderLog(start);
        var store = new JournalMarkStore(Qcow2Header.Read(new FixedMedium(log.Now, 1 << 20)), log, log.Flush);
        Assert.Contains("no end marker", store.WhyNot ?? "", StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1 << 20, 1L << 50)]
    [InlineData(long.MaxValue - 4095, 1 << 20)]
    [InlineData(-65536, 1 << 20)]
    [InlineData(1000, 65536)]
    [InlineData(0, 65536 * 4)]
    public void Region_that_cannot_be_one_is_refused(long offset, long length)
    {
        string path = PathOf("a.qcow2");
        Qemu.Img("create", "-f", "qcow2", path, "1G");
        using (var medium = new TestFileMedium(path)) Store(medium).Set(new JournalMark("ordered", Guid.NewGuid(), 1, new JournalRegion(offset, length), default));
        foreach (bool readOnly in new[] { false, true })
            Assert.Equal("SP3031", Assert.Throws<DiagnosticException>(() => new Disk.OpenTestImage(path, readOnly)).Code);
    }

    private static void AppendForeignExtension(string path)
    {
        using var medium = new TestFileMedium(path);
        int end = Qcow2Header.Read(medium).Places.End;
        byte[] extension = new byte[24];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(extension, 0x12345678);
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(extension.AsSpan(4), 8);
        medium.Write(end, extension, ContentClass.Header);
    }

    private static string WhyNot(string path)
    {
        using var medium = new TestFileMedium(path);
        return new Qcow2Format().InspectJournal(medium).WhyNone ?? "";
    }

    private static JournalMark Mark(Guid id, ulong epoch) => new("internal", id, epoch, new JournalRegion(1 << 20, 16 << 20), Encoding.ASCII.GetBytes($"payload {epoch}"));

    private static void Set(string path, ulong epoch)
    {
        using var medium = new TestFileMedium(path);
        Store(medium).Set(Mark(Guid.NewGuid(), epoch));
    }

    private static void Clear(string path)
    {
        using var medium = new TestFileMedium(path);
        Store(medium).Clear();
    }

    private static JournalMarkStore Store(IStorageMedium medium) => new(Qcow2Header.Read(medium), medium, static () => { });

    private static void AssertReads(byte[] image, string? backing, ulong[] epochs)
    {
        var medium = new FixedMedium(image, 1 << 20);
        Qcow2Header header = Qcow2Header.Read(medium);
        Assert.Equal(backing, header.BackingFile);
        var store = new JournalMarkStore(header, medium, static () => { });
        ulong epoch = store.Current?.Epoch ?? 0;
        Assert.Contains(epoch, epochs);
        if (store.IsSet)
        {
            Assert.True(store.IsTrustworthy);
            Assert.Equal($"payload {epoch}", Encoding.ASCII.GetString(store.Current!.Payload.Span));
            Assert.Contains(header.FeatureNames, n => n.Bit == Qcow2Features.JournalBit);
        }
    }

    /// <summary>A few KiB of header; writes since the last flush can be lost by sector, in any combination.</summary>
    private sealed class HeaderLog(byte[] start) : FixedMedium([.. start], 1 << 20)
    {
        private readonly List<(byte[] Durable, List<(int Offset, byte[] Data)> Pending)> _epochs = [([.. start], [])];

        public byte[] Now => Bytes;

        public override void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
        {
            base.Write(offset, data, content);
            _epochs[^1].Pending.Add(((int)offset, data.ToArray()));
        }

        public void Flush() => _epochs.Add(([.. Bytes], []));

        /// <summary>All subsets of the sectors that each flush interval wrote.</summary>
        public int ForEachCrash(Action<byte[]> check)
        {
            int states = 0;
            foreach ((byte[] durable, List<(int Offset, byte[] Data)> pending) in _epochs)
            {
                byte[] after = [.. durable];
                foreach ((int offset, byte[] data) in pending) data.CopyTo(after, offset);
                int[] sectors = [.. Enumerable.Range(0, durable.Length / 512).Where(s => !durable.AsSpan(s * 512, 512).SequenceEqual(after.AsSpan(s * 512, 512)))];
                Assert.True(sectors.Length <= 12);
                for (int subset = 0; subset < 1 << sectors.Length; subset++, states++)
                {
                    byte[] crashed = [.. durable];
                    for (int i = 0; i < sectors.Length; i++)
                    {
                        if ((subset & (1 << i)) != 0) after.AsSpan(sectors[i] * 512, 512).CopyTo(crashed.AsSpan(sectors[i] * 512));
                    }

                    check(crashed);
                }
            }

            _epochs.Clear();
            _epochs.Add(([.. Bytes], []));
            return states;
        }
    }

    /// <summary>A header in memory that says it belongs to a longer file.</summary>
    private class FixedMedium(byte[] bytes, long length) : IStorageMedium
    {
        public byte[] Bytes { get; } = bytes;

        public string Name => "header";

        public long Length => length;

        public bool IsReadOnly => false;

        public int Read(long offset, Span<byte> buffer)
        {
            int there = (int)Math.Clamp(Bytes.Length - offset, 0, buffer.Length);
            Bytes.AsSpan((int)Math.Min(offset, Bytes.Length), there).CopyTo(buffer);
            buffer[there..].Clear();
            return buffer.Length;
        }

        public virtual void Write(long offset, ReadOnlySpan<byte> data, ContentClass content) => data.CopyTo(Bytes.AsSpan((int)offset));

        public void SetLength(long length) => throw new NotSupportedException();

        public T? GetCapability<T>() where T : class => this as T;

        public void Dispose()
        {
        }
    }
}
