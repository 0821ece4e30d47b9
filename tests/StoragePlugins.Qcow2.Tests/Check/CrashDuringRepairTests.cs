using StoragePlugins.Qcow2.Check;
using StoragePlugins.Qcow2.Header;
using static StoragePlugins.Qcow2.Tests.Check.CheckedImages;

namespace StoragePlugins.Qcow2.Tests.Check;

public sealed class CrashDuringRepairTests : ScratchFolder
{
    public static TheoryData<string> Damages() => new() { "refcounts zeroed", "refcounts too high", "no refcount block", "table in an impossible place", "dirty", "one L2 table twice" };

    [Theory]
    [MemberData(nameof(Damages))]
    public void Whatever_part_of_a_repair_survives_a_crash_the_guest_reads_the_same_and_a_second_repair_succeeds(string damage)
    {
        string image = DamagedImage(damage);
        byte[] start = File.ReadAllBytes(image), guest = GuestBytes(image);
        long corruptionsBefore = RunCheck(image).Corruptions;
        var recorder = new EpochRecorder(start);
        CheckReport repaired = new Qcow2Checker(recorder, Qcow2Header.ReadForCheck(recorder)).Run(RepairMode.All);
        Assert.Equal((0L, 0L), (repaired.Corruptions, repaired.Leaks));

        var random = new Random(11);
        for (int epoch = 0; epoch <= recorder.LastEpoch; epoch++)
        {
            for (int draw = 0; draw < 5; draw++)
            {
                // All of the epochs before, and some of this one's writes in any order.
                File.WriteAllBytes(image, recorder.Replay(epoch, draw == 0 ? _ => false : _ => random.Next(2) == 0));
                string state = $"epoch {epoch} draw {draw}";
                Assert.True(RunCheck(image).Corruptions <= corruptionsBefore, $"{state}: worse than before the repair");
                Assert.True(guest.AsSpan().SequenceEqual(GuestBytes(image)), $"{state}: the guest reads something else");
                CheckReport again = RunCheck(image, RepairMode.All);
                Assert.True(again is { Corruptions: 0, Leaks: 0 }, $"{state}: {string.Join('\n', again.Findings)}");
                Assert.Equal(Verdict.Clean, QemuVerdictOf(image, out _));
            }
        }
    }

    private string DamagedImage(string damage)
    {
        string image = PathOf("image.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", "-o", "cluster_size=512,lazy_refcounts=on,refcount_bits=16", image, "2M");
        Qemu.Io(image, "write -P 1 0 256k", "write -c -P 6 1M 128k");
        Qemu.Img("snapshot", "-c", "s", image);
        Qemu.Io(image, "write -P 2 64k 64k");
        if (damage == "dirty") Qemu.Run("qemu-io", "-f", "qcow2", "-c", "write -P 8 512k 256k", "-c", "flush", "-c", "abort", image);
        Edit(image, (medium, header) =>
        {
            switch (damage)
            {
                case "refcounts zeroed":
                    medium.Write(FirstRefcountBlock(medium, header), new byte[512], ContentClass.Allocation);
                    medium.Write((long)Entry(medium, header.RefcountTableOffset + 8), new byte[300], ContentClass.Allocation);
                    break;
                case "refcounts too high":
                    for (int cluster = 0; cluster < 200; cluster++) SetRefcount(medium, header, cluster, 9);
                    break;
                case "no refcount block": SetEntry(medium, header.RefcountTableOffset + 8, 0); break;
                case "table in an impossible place": SetEntry(medium, Qcow2Layout.RefcountTableFieldsOffset, 1UL << 45); break;
                case "one L2 table twice": SetEntry(medium, header.L1TableOffset + 480, Entry(medium, header.L1TableOffset)); break;
                default: Assert.Equal(Qcow2Features.Dirty, header.IncompatibleFeatures); break;
            }
        });
        return image;
    }

    private byte[] GuestBytes(string image)
    {
        // A copy: stock QEMU mends dirty images when it opens them. Unsafe reading (-U) leaves them as they are.
        string raw = PathOf("guest.raw");
        Qemu.Img("convert", "-U", "-f", "qcow2", "-O", "raw", image, raw);
        return File.ReadAllBytes(raw);
    }

    /// <summary>A medium in memory that remembers writes by the epoch that barriers put them in.</summary>
    private sealed class EpochRecorder(byte[] start) : IOrderedMedium
    {
        private readonly List<(int Epoch, long Offset, byte[] Bytes)> _writes = [];
        private byte[] _now = (byte[])start.Clone();

        public int LastEpoch { get; private set; }
        public string Name => "recorder";
        public long Length => _now.Length;
        public bool IsReadOnly => false;

        public byte[] Replay(int epoch, Func<int, bool> survives)
        {
            byte[] image = (byte[])start.Clone();
            foreach ((int Epoch, long Offset, byte[] Bytes) write in _writes.Where((w, i) => w.Epoch < epoch || (w.Epoch == epoch && survives(i)))) Apply(ref image, write.Offset, write.Bytes);
            return image;
        }

        public int Read(long offset, Span<byte> buffer)
        {
            if (offset >= _now.Length) return 0;
            int got = (int)Math.Min(buffer.Length, _now.Length - offset);
            _now.AsSpan((int)offset, got).CopyTo(buffer);
            return got;
        }

        public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
        {
            _writes.Add((LastEpoch, offset, data.ToArray()));
            Apply(ref _now, offset, data);
        }

        public void SetLength(long length) => throw new InvalidOperationException("a repair does not cut images");

        public void Barrier() => LastEpoch++;

        public void Flush() => throw new InvalidOperationException("the caller flushes");

        public T? GetCapability<T>() where T : class => null;

        public void Dispose()
        {
        }

        private static void Apply(ref byte[] image, long offset, ReadOnlySpan<byte> data)
        {
            if (offset + data.Length > image.Length) Array.Resize(ref image, (int)offset + data.Length);
            data.CopyTo(image.AsSpan((int)offset));
        }
    }
}
