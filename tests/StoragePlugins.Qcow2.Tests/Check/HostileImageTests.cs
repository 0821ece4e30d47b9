using System.Buffers.Binary;
using System.Diagnostics;
using StoragePlugins.Qcow2.Header;
using static StoragePlugins.Qcow2.Tests.Check.CheckedImages;

namespace StoragePlugins.Qcow2.Tests.Check;

/// <summary>Images that QEMU made, damaged at random places in their metadata, judged by both checkers.</summary>
/// <remarks>Set QCOW2_FUZZ_STATES for a longer run, QCOW2_FUZZ_SEED for another one, and QCOW2_FUZZ_REPORT to a file that gets the differences
/// between the two checkers. Known ones: a header that points out of the file is refused here, where QEMU reads zeros; what QEMU's own
/// parser of snapshots and bitmaps refuses to open is corrupt here; one cluster with two purposes is corrupt here whatever its refcount.</remarks>
public sealed class HostileImageTests : ScratchFolder
{
    private const int StatesInCi = 220;
    private const int MaxExamples = 40;

    /// <summary>Far above what these images need (a few ms); a hang is minutes.</summary>
    private static readonly TimeSpan s_longest = TimeSpan.FromSeconds(10);

    private readonly List<(string Name, byte[] Bytes)> _seeds = [];
    private readonly SortedDictionary<string, List<string>> _differences = new(StringComparer.Ordinal);

    [Fact]
    public void No_damaged_image_is_called_clean_that_qemu_calls_corrupt_and_no_repair_changes_what_the_guest_reads()
    {
        int states = int.TryParse(Environment.GetEnvironmentVariable("QCOW2_FUZZ_STATES"), out int wanted) ? wanted : StatesInCi;
        int seed = int.TryParse(Environment.GetEnvironmentVariable("QCOW2_FUZZ_SEED"), out int chosen) ? chosen : 1;
        MakeSeeds();
        var agreements = new SortedDictionary<string, int>(StringComparer.Ordinal);
        for (int state = 0; state < states; state++)
        {
            var random = new Random((seed * 1_000_003) + state);
            string pair = Judge(random, $"seed {seed} state {state}");
            agreements[pair] = agreements.GetValueOrDefault(pair) + 1;
        }

        if (Environment.GetEnvironmentVariable("QCOW2_FUZZ_REPORT") is { Length: > 0 } file)
            File.WriteAllLines(file, [.. agreements.Select(a => $"{a.Value,6} {a.Key}"), .. _differences.SelectMany(d => d.Value.Select(w => $"== {d.Key}\n{w}"))]);
        // Damage that nobody notices would show nothing.
        Assert.True(agreements.Where(a => a.Key.StartsWith("qemu Corrupt", StringComparison.Ordinal)).Sum(a => a.Value) > states / 4, string.Join('\n', agreements));
    }

    private string Judge(Random random, string state)
    {
        (string name, byte[] bytes) = _seeds[random.Next(_seeds.Count)];
        string image = PathOf("damaged.qcow2");
        File.WriteAllBytes(image, bytes);
        string damage = Damage(image, random);
        state = $"{state} ({name}: {damage})";

        long allocated = GC.GetTotalAllocatedBytes();
        var clock = Stopwatch.StartNew();
        Verdict ours = VerdictOf(image, out string ourWords);
        Assert.True(clock.Elapsed < s_longest, $"{state}: {clock.Elapsed}");
        Assert.InRange(GC.GetTotalAllocatedBytes() - allocated, 0, 256 << 20);

        Verdict qemu = QemuVerdictOf(image, out string qemuWords);
        string words = $"{state}\nQEMU: {qemu}\n{qemuWords}\nours: {ours}\n{ourWords}";
        Assert.False(ours == Verdict.Clean && qemu != Verdict.Clean, words);
        Assert.False(ours == Verdict.Leaks && qemu == Verdict.Corrupt, words);
        string pair = $"qemu {qemu}, ours {ours}";
        if (ours != qemu)
        {
            if (!_differences.TryGetValue(pair, out List<string>? examples)) _differences[pair] = examples = [];
            if (examples.Count < MaxExamples) examples.Add(words);
        }

        if (ours is Verdict.Corrupt or Verdict.Leaks) JudgeRepair(image, qemu, words);
        return pair;
    }

    private void JudgeRepair(string image, Verdict qemuBefore, string words)
    {
        byte[]? before = GuestBytes(image);
        CheckReport report = RunCheck(image, RepairMode.All);
        if (report is not { Corruptions: 0, Leaks: 0 }) return;
        Verdict after = QemuVerdictOf(image, out string afterWords);
        Assert.True(after == Verdict.Clean, $"{words}\nafter our repair QEMU says {after}\n{afterWords}");
        if (qemuBefore == Verdict.CannotCheck || before is null) return;
        Assert.True(before.AsSpan().SequenceEqual(GuestBytes(image)), $"{words}\nthe repair changed what the guest reads");
    }

    /// <summary>What a guest reads, by QEMU; null when it refuses.</summary>
    private byte[]? GuestBytes(string image)
    {
        string raw = PathOf("guest.raw");
        (int code, _, _) = Qemu.Run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, raw);
        return code == 0 ? File.ReadAllBytes(raw) : null;
    }

    private void MakeSeeds()
    {
        foreach (string options in new[] { "cluster_size=512,refcount_bits=8", "cluster_size=512,refcount_bits=1", "cluster_size=4096,refcount_bits=16", "cluster_size=4096,refcount_bits=64", "cluster_size=1024,compat=0.10", "cluster_size=65536,lazy_refcounts=on" })
        {
            string image = PathOf("seed.qcow2");
            Qemu.Img("create", "-q", "-f", "qcow2", "-o", options, image, "1M");
            Qemu.Io(image, "write -P 1 0 64k", "write -P 2 300k 100k", "write -z 200k 64k");
            bool single = options.Contains("bits=1", StringComparison.Ordinal) && !options.Contains("bits=16", StringComparison.Ordinal);
            if (!single)
            {
                Qemu.Io(image, "write -c -P 5 512k 64k");
                Qemu.Img("snapshot", "-c", "s1", image);
                Qemu.Io(image, "write -P 3 16k 32k", "write -P 4 900k 64k");
                Qemu.Img("snapshot", "-c", "second", image);
            }

            if (options.Contains("4096", StringComparison.Ordinal)) Qemu.Img("bitmap", "--add", image, "b0");
            if (options.Contains("lazy", StringComparison.Ordinal)) Qemu.Run("qemu-io", "-f", "qcow2", "-c", "write -P 8 700k 100k", "-c", "flush", "-c", "abort", image);
            _seeds.Add((options, File.ReadAllBytes(image)));
        }
    }

    /// <summary>Damages one to three places of the metadata.</summary>
    private static string Damage(string image, Random random)
    {
        using var medium = new TestFileMedium(image);
        Qcow2Header header = Qcow2Header.Read(medium);
        List<long> tables = Tables(medium, header);
        var what = new List<string>();
        for (int i = random.Next(1, 4); i > 0; i--)
        {
            int kind = random.Next(20);
            if (kind == 0)
            {
                long length = medium.Length + (random.Next(-20, 20) * header.ClusterSize) + random.Next(-1, 2) * random.Next(header.ClusterSize);
                medium.SetLength(Math.Max(header.ClusterSize * 2, length));
                what.Add($"length {length}");
            }
            else if (kind <= 2) what.Add(DamageHeader(medium, random));
            else what.Add(DamageTable(medium, header, tables, random));
        }

        return string.Join(", ", what);
    }

    private static string DamageHeader(TestFileMedium medium, Random random)
    {
        // Versions, cluster sizes, widths and feature bits are left alone: another format, not a damaged image.
        int[] fields = [24, 36, 40, 48, 56, 60, 64];
        int at = fields[random.Next(fields.Length)] + random.Next(8);
        byte[] cell = new byte[1];
        medium.Read(at, cell);
        cell[0] ^= (byte)(1 << random.Next(8));
        medium.Write(at, cell, ContentClass.Header);
        return $"header byte {at} = {cell[0]:x2}";
    }

    private static string DamageTable(TestFileMedium medium, Qcow2Header header, List<long> tables, Random random)
    {
        long table = tables[random.Next(tables.Count)];
        // Half of the hits are at the table's start, where small images have their entries.
        long at = table + (8 * random.Next(random.Next(2) == 0 ? 16 : header.ClusterSize / 8));
        ulong old = Peek(medium, at);
        ulong value = random.Next(6) switch
        {
            0 => old ^ (1UL << random.Next(64)),
            1 => (ulong)tables[random.Next(tables.Count)] | (random.Next(2) == 0 ? Qcow2Layout.CopiedFlag : 0),
            2 => (ulong)random.NextInt64(),
            3 => (ulong)random.NextInt64(medium.Length) & ~((ulong)header.ClusterSize - 1),
            4 => Peek(medium, table + (8 * random.Next(16))),
            _ => 0,
        };
        SetEntry(medium, at, value);
        return $"{at}: {old:x16} -> {value:x16}";
    }

    private static ulong Peek(TestFileMedium medium, long offset)
    {
        byte[] bytes = new byte[8];
        medium.Read(offset, bytes);
        return BinaryPrimitives.ReadUInt64BigEndian(bytes);
    }

    private static List<long> Tables(TestFileMedium medium, Qcow2Header header)
    {
        var tables = new List<long> { header.RefcountTableOffset, header.L1TableOffset };
        for (int i = 0; i < 4; i++) tables.Add((long)Peek(medium, header.RefcountTableOffset + (8 * i)));
        for (int i = 0; i < header.L1Size; i++) tables.Add((long)(Peek(medium, header.L1TableOffset + (8 * i)) & Qcow2Layout.OffsetMask));
        if (header.SnapshotCount > 0) tables.Add(header.SnapshotsOffset);
        foreach (Qcow2.Snapshots.Snapshot s in Qcow2.Snapshots.SnapshotTable.Read(medium, header).Snapshots) tables.Add(s.L1TableOffset);
        HeaderExtension? bitmaps = header.OtherExtensions.FirstOrDefault(e => e.Type == Qcow2Layout.ExtensionBitmaps);
        if (bitmaps is not null) tables.Add((long)BinaryPrimitives.ReadUInt64BigEndian(bitmaps.Data.Span[16..]));
        tables.RemoveAll(t => t == 0);
        return tables;
    }
}
