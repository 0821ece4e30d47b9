using StoragePlugins.Qcow2.Header;
using static StoragePlugins.Qcow2.Tests.Check.CheckedImages;

namespace StoragePlugins.Qcow2.Tests.Check;

public sealed class Qcow2CheckerTests : ScratchFolder
{
    public static TheoryData<string> CleanImages() => new()
    {
        "cluster_size=512,refcount_bits=1", "cluster_size=512,refcount_bits=64", "cluster_size=1024,refcount_bits=2", "cluster_size=4096,refcount_bits=4",
        "cluster_size=8192,refcount_bits=8", "cluster_size=65536,refcount_bits=16", "cluster_size=65536,refcount_bits=32", "cluster_size=2097152,refcount_bits=1",
        "cluster_size=2097152,refcount_bits=64", "compat=0.10", "preallocation=metadata", "compression_type=zstd,cluster_size=16384",
    };

    [Theory]
    [MemberData(nameof(CleanImages))]
    public void Images_that_qemu_wrote_are_clean_and_the_figures_are_its_own(string options)
    {
        string image = Written(options);
        AssertAgreed(Verdict.Clean, image);
        CheckReport report = RunCheck(image);
        (long allocated, long end) = QemuFigures(image);
        Assert.Empty(report.Findings);
        using var medium = new TestFileMedium(image, readOnly: true);
        Assert.Equal((allocated * Qcow2Header.Read(medium).ClusterSize, end), (report.AllocatedBytes, report.ImageEnd));
    }

    [Theory]
    [InlineData("refcount_bits=16")]
    [InlineData("cluster_size=512,refcount_bits=8")]
    [InlineData("compat=0.10")]
    public void Snapshots_with_shared_and_unshared_clusters_are_clean(string options)
    {
        string image = Written(options);
        Qemu.Img("snapshot", "-c", "one", image);
        Qemu.Io(image, "write -P 9 128k 1M", "write -c -P 4 5M 64k");
        Qemu.Img("snapshot", "-c", "two", image);
        Qemu.Io(image, "discard 0 2M");
        AssertAgreed(Verdict.Clean, image);
        Qemu.Img("snapshot", "-d", "one", image);
        AssertAgreed(Verdict.Clean, image);
        Qemu.Img("snapshot", "-a", "two", image);
        AssertAgreed(Verdict.Clean, image);
    }

    [Fact]
    public void Compressed_images_with_a_backing_file_and_bitmaps_are_clean()
    {
        string backing = Written("cluster_size=65536"), image = PathOf("overlay.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", "-b", backing, "-F", "qcow2", image);
        Qemu.Io(image, "write -c -P 3 0 512k", "write -P 5 1M 64k");
        Qemu.Img("bitmap", "--add", image, "b0");
        Qemu.Img("bitmap", "--add", "-g", "4096", image, "a-second-one");
        Qemu.Io(image, "write -P 6 2M 1M");
        AssertAgreed(Verdict.Clean, image);
        Assert.Contains("bitmaps", Qemu.Img("info", image), StringComparison.Ordinal);
    }

    [Fact]
    public void Bitmaps_whose_autoclear_bit_is_gone_are_leaks_as_they_are_to_qemu()
    {
        string image = Written("cluster_size=65536");
        Qemu.Img("bitmap", "--add", image, "b0");
        Edit(image, (medium, _) => SetEntry(medium, Qcow2Layout.AutoclearFeaturesOffset, 0));
        AssertAgreed(Verdict.Leaks, image);
    }

    [Fact]
    public void A_refcount_above_the_references_is_a_leak_and_is_given_back()
    {
        string image = Written("cluster_size=65536");
        Edit(image, (medium, header) =>
        {
            medium.SetLength(medium.Length + (2 * header.ClusterSize));
            SetRefcount(medium, header, (medium.Length / header.ClusterSize) - 1, 1);
            SetRefcount(medium, header, (medium.Length / header.ClusterSize) - 2, 77);
        });
        AssertAgreed(Verdict.Leaks, image);
        AssertRepaired(image, RepairMode.Leaks, r => Assert.Equal((2L, 0L), (r.LeaksFixed, r.CorruptionsFixed)));
    }

    [Fact]
    public void A_leak_on_a_cluster_in_use_gets_its_copied_flag_right_with_it()
    {
        string image = Written("cluster_size=65536");
        Edit(image, (medium, header) =>
        {
            long l2 = FirstL2(medium, header);
            ulong entry = Entry(medium, l2);
            SetRefcount(medium, header, (long)((entry & Qcow2Layout.OffsetMask) / 65536), 5);
            SetEntry(medium, l2, entry & ~Qcow2Layout.CopiedFlag);
        });
        AssertAgreed(Verdict.Leaks, image);
        AssertRepaired(image, RepairMode.Leaks, r => Assert.Equal(1, r.LeaksFixed));
    }

    [Fact]
    public void A_refcount_below_the_references_is_a_corruption_and_only_the_full_repair_raises_it()
    {
        string image = Written("cluster_size=65536");
        Edit(image, (medium, header) => SetRefcount(medium, header, (long)(Entry(medium, FirstL2(medium, header)) & Qcow2Layout.OffsetMask) / 65536, 0));
        AssertAgreed(Verdict.Corrupt, image);
        CheckReport leaksOnly = RunCheck(image, RepairMode.Leaks);
        Assert.True(leaksOnly.Corruptions > 0 && leaksOnly.CorruptionsFixed == 0);
        AssertRepaired(image, RepairMode.All, r => Assert.True(r.CorruptionsFixed > 0));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_wrong_copied_flag_is_a_corruption_and_is_mended(bool inL1)
    {
        string image = Written("cluster_size=4096");
        Edit(image, (medium, header) =>
        {
            long at = inL1 ? header.L1TableOffset : FirstL2(medium, header) + 24;
            SetEntry(medium, at, Entry(medium, at) ^ Qcow2Layout.CopiedFlag);
        });
        AssertAgreed(Verdict.Corrupt, image);
        AssertRepaired(image, RepairMode.All, r => Assert.Equal((1L, 1), (r.CorruptionsFixed, r.Findings.Count)));
    }

    [Theory]
    [InlineData("zeroed table", 1)]
    [InlineData("zeroed table", 64)]
    [InlineData("block out of file", 16)]
    [InlineData("block misaligned", 16)]
    [InlineData("block is the L1 table", 16)]
    [InlineData("block is the table", 8)]
    [InlineData("reserved bits", 16)]
    [InlineData("two entries, one block", 16)]
    public void A_broken_refcount_structure_is_rebuilt_from_the_references(string damage, int refcountBits)
    {
        string image = Written($"cluster_size=4096,refcount_bits={refcountBits}");
        Edit(image, (medium, header) =>
        {
            long table = header.RefcountTableOffset;
            switch (damage)
            {
                case "zeroed table": SetEntry(medium, table, 0); break;
                case "block out of file": SetEntry(medium, table, 1UL << 50); break;
                case "block misaligned": SetEntry(medium, table, Entry(medium, table) + 512); break;
                case "block is the L1 table": SetEntry(medium, table, (ulong)header.L1TableOffset); break;
                case "block is the table": SetEntry(medium, table, (ulong)table); break;
                case "reserved bits": SetEntry(medium, table, Entry(medium, table) | 4); break;
                default: SetEntry(medium, table + 8, Entry(medium, table)); break;
            }
        });
        Assert.Equal(Verdict.Corrupt, VerdictOf(image, out _));
        // A misaligned block makes qemu-img give up with an I/O error.
        Assert.Contains(QemuVerdictOf(image, out _), new[] { Verdict.Corrupt, Verdict.CannotCheck });
        AssertRepaired(image, RepairMode.All, r => Assert.True(r.CorruptionsFixed > 0));
    }

    [Theory]
    [InlineData(1UL << 40, 1)]
    [InlineData(0UL, 1)]
    [InlineData(4096UL + 512, 1)]
    [InlineData(4096UL, 0)]
    [InlineData(4096UL, int.MaxValue)]
    [InlineData(ulong.MaxValue, -1)]
    public void A_refcount_table_in_an_impossible_place_is_rebuilt(ulong offset, int clusters)
    {
        string image = Written("cluster_size=4096");
        Edit(image, (medium, _) =>
        {
            byte[] count = new byte[4];
            System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(count, clusters);
            SetEntry(medium, Qcow2Layout.RefcountTableFieldsOffset, offset);
            medium.Write(Qcow2Layout.RefcountTableFieldsOffset + 8, count, ContentClass.Header);
        });
        Assert.Equal(Verdict.Corrupt, VerdictOf(image, out _));
        Assert.NotEqual(Verdict.Clean, QemuVerdictOf(image, out _));
        AssertRepaired(image, RepairMode.All, r => Assert.True(r.CorruptionsFixed > 0));
    }

    [Fact]
    public void A_refcount_table_that_lies_on_the_L1_table_is_rebuilt()
    {
        string image = Written("cluster_size=4096");
        Edit(image, (medium, header) => SetEntry(medium, Qcow2Layout.RefcountTableFieldsOffset, (ulong)header.L1TableOffset));
        Assert.Equal(Verdict.Corrupt, VerdictOf(image, out _));
        AssertRepaired(image, RepairMode.All, r => Assert.True(r.CorruptionsFixed > 0));
    }

    [Fact]
    public void An_image_that_died_dirty_is_corrupt_like_to_qemu_and_a_repair_makes_it_plain()
    {
        string image = Written("lazy_refcounts=on");
        Qemu.Run("qemu-io", "-f", "qcow2", "-c", "write -P 8 10M 3M", "-c", "flush", "-c", "abort", image);
        Edit(image, (_, header) => Assert.Equal(Qcow2Features.Dirty, header.IncompatibleFeatures));
        AssertAgreed(Verdict.Corrupt, image);
        AssertRepaired(image, RepairMode.All, r => Assert.True(r.CorruptionsFixed > 40));
        Edit(image, (_, header) => Assert.Equal(0UL, header.IncompatibleFeatures));
        Qemu.Io(image, "read -P 8 10M 3M");
    }

    [Fact]
    public void The_header_in_hand_follows_a_repair()
    {
        string image = Written("cluster_size=4096");
        using var medium = new TestFileMedium(image);
        Qcow2Header header = Qcow2Header.Read(medium);
        SetEntry(medium, header.RefcountTableOffset, 0);
        SetEntry(medium, Qcow2Layout.IncompatibleFeaturesOffset, Qcow2Features.Dirty | Qcow2Features.Corrupt);
        header.IncompatibleFeatures = Qcow2Features.Dirty | Qcow2Features.Corrupt;
        new Qcow2.Check.Qcow2Checker(medium, header).Run(RepairMode.All);
        Qcow2Header reread = Qcow2Header.Read(medium);
        Assert.Equal(reread.Serialize(), header.Serialize());
        Assert.Equal(0UL, reread.IncompatibleFeatures);
    }

    public static TheoryData<string, ulong, bool> BadL2Entries() => new()
    {
        { "reserved bits", 0x8000_0000_0005_0002, true },
        { "not aligned", 0x8000_0000_0005_0200, true },
        { "beyond the end of the file", 0x8000_1000_0000_0000, true },
        { "copied flag", 0xc000_0000_0005_0000, true },
        { "lies at", 0x4000_1000_0005_0000, true },
        { "structures overlap", 0, true },
    };

    [Theory]
    [MemberData(nameof(BadL2Entries))]
    public void A_bad_L2_entry_is_named(string words, ulong entry, bool qemuAgrees)
    {
        string image = Written("cluster_size=4096");
        // Zero stands for: the L2 table points to itself.
        Edit(image, (medium, header) => SetEntry(medium, FirstL2(medium, header) + 80, entry == 0 ? (ulong)FirstL2(medium, header) | Qcow2Layout.CopiedFlag : entry));
        Assert.Contains(RunCheck(image).Findings, f => f.Contains(words, StringComparison.Ordinal));
        Assert.Equal(qemuAgrees ? Verdict.Corrupt : Verdict.Clean, QemuVerdictOf(image, out _));
    }

    [Fact]
    public void One_L2_table_for_two_places_with_one_reference_counted_is_a_corruption()
    {
        string image = Written("cluster_size=4096");
        Edit(image, (medium, header) => SetEntry(medium, header.L1TableOffset + 32, Entry(medium, header.L1TableOffset)));
        AssertAgreed(Verdict.Corrupt, image);
        AssertRepaired(image, RepairMode.All, r => Assert.True(r.CorruptionsFixed > 0));
    }

    [Fact]
    public void A_zero_flag_in_version_2_is_a_corruption()
    {
        string image = Written("compat=0.10");
        Edit(image, (medium, header) => SetEntry(medium, FirstL2(medium, header), 1));
        Assert.Contains(RunCheck(image).Findings, f => f.Contains("version 2", StringComparison.Ordinal));
    }

    [Fact]
    public void An_overlap_whose_refcount_is_right_is_a_corruption_though_not_to_qemu()
    {
        string image = Written("cluster_size=4096");
        Edit(image, (medium, header) =>
        {
            long l2 = FirstL2(medium, header);
            SetEntry(medium, l2 + 4088, (ulong)l2);
            SetEntry(medium, header.L1TableOffset, (ulong)l2);
            SetRefcount(medium, header, l2 / 4096, 2);
        });
        Assert.Equal(Verdict.Clean, QemuVerdictOf(image, out _));
        Assert.Equal(Verdict.Corrupt, VerdictOf(image, out string words));
        Assert.Contains("structures overlap", words, StringComparison.Ordinal);
    }

    [Fact]
    public void A_truncated_image_keeps_what_nobody_references_any_more()
    {
        string image = Written("cluster_size=4096");
        Edit(image, (medium, _) => medium.SetLength(medium.Length - (300 * 4096)));
        AssertAgreed(Verdict.Corrupt, image);
        CheckReport report = RunCheck(image, RepairMode.All);
        Assert.True(report.Corruptions > 0 && report.LeaksFixed == 0);
    }

    [Fact]
    public void A_snapshot_table_that_cannot_be_read_stops_every_repair()
    {
        string image = Written("cluster_size=4096");
        Qemu.Img("snapshot", "-c", "one", image);
        Edit(image, (medium, header) => medium.Write(header.SnapshotsOffset + 36, [0xff, 0xff, 0xff, 0xff], ContentClass.Snapshot));
        byte[] before = File.ReadAllBytes(image);
        CheckReport report = RunCheck(image, RepairMode.All);
        Assert.True(report.Corruptions > 0);
        Assert.Contains(report.Findings, f => f.Contains("nothing was repaired", StringComparison.Ordinal));
        Assert.Equal(before, File.ReadAllBytes(image));
    }

    [Fact]
    public void Findings_are_bounded_and_counts_complete()
    {
        string image = Written("cluster_size=512");
        Edit(image, (medium, header) => SetEntry(medium, header.RefcountTableOffset, 0));
        CheckReport report = RunCheck(image);
        Assert.Equal(100, report.Findings.Count);
        // All 256 clusters of one block, and the flags that hang on their refcounts.
        Assert.True(report.Corruptions > 256, $"{report.Corruptions}");
    }

    [Fact]
    public void An_absurdly_long_file_is_refused_before_memory_is_taken()
    {
        string image = PathOf("long.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", "-o", "cluster_size=512", image, "1M");
        Edit(image, (medium, _) => medium.SetLength(3L << 40));
        Assert.Equal("SP3016", Assert.Throws<DiagnosticException>(() => RunCheck(image)).Code);
    }

    [Fact]
    public void A_sparse_terabyte_costs_what_it_holds()
    {
        string image = PathOf("sparse.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", image, "64M");
        Edit(image, (medium, _) => medium.SetLength(8L << 40));
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal(0, RunCheck(image).Corruptions);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
    }

    [Fact]
    public void A_million_L1_entries_that_name_one_L2_table_cost_one_reading_of_it()
    {
        string image = PathOf("shared.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", image, "1P");
        Qemu.Io(image, "write -P 1 0 8M");
        Edit(image, (medium, header) =>
        {
            // 2048 entries of a petabyte: the table is made as long as the format allows, in a place of its own.
            byte[] entries = new byte[Qcow2Layout.MaxL1Bytes];
            for (int i = 0; i < entries.Length; i += 8)
                System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(entries.AsSpan(i), (ulong)FirstL2(medium, header));
            long place = (medium.Length + header.ClusterSize - 1) / header.ClusterSize * header.ClusterSize;
            medium.Write(place, entries, ContentClass.MapRoot);
            header.L1TableOffset = place;
            header.L1Size = entries.Length / 8;
            medium.Write(0, header.Serialize(), ContentClass.Header);
        });
        var clock = System.Diagnostics.Stopwatch.StartNew();
        CheckReport report = RunCheck(image);
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 10);
        Assert.True(report.Corruptions > 4194304, $"{report.Corruptions}");
    }

    private static void AssertAgreed(Verdict verdict, string image)
    {
        Verdict qemu = QemuVerdictOf(image, out string qemuWords);
        Verdict ours = VerdictOf(image, out string ourWords);
        Assert.True(qemu == verdict && ours == verdict, $"expected {verdict}\nQEMU: {qemu}\n{qemuWords}\nours: {ours}\n{ourWords}");
    }

    private static void AssertRepaired(string image, RepairMode mode, Action<CheckReport> judge)
    {
        CheckReport report = RunCheck(image, mode);
        Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
        judge(report);
        AssertAgreed(Verdict.Clean, image);
        Qemu.Io(image, "read -P 1 0 512k", "read -P 2 3M 512k", "write -P 3 20M 1M");
        AssertAgreed(Verdict.Clean, image);
    }

    /// <summary>A disk of 64 MiB with data, zero clusters and compressed clusters.</summary>
    private string Written(string options)
    {
        string image = PathOf("image.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", "-o", options, image, "64M");
        Qemu.Io(image, "write -P 1 0 1M", "write -P 2 3M 2M", "write -z 1M 512k");
        // QEMU does not compress into clusters that are allocated already.
        if (options != "preallocation=metadata") Qemu.Io(image, "write -c -P 7 40M 2M");
        return image;
    }
}
