using System.Text;
using StoragePlugins.Qcow2.Header;
using StoragePlugins.Qcow2.Snapshots;

namespace StoragePlugins.Qcow2.Tests.Snapshots;

public sealed class SnapshotTableTests : ScratchFolder
{
    [Theory]
    [InlineData("1.1")]
    [InlineData("0.10")]
    public void Snapshots_of_qemu_img_are_read_with_all_their_fields(string compat)
    {
        string image = WithSnapshots(compat, "first", "zweite – mit Umlaut äöü", "");
        using var medium = new TestFileMedium(image, readOnly: true);
        Qcow2Header header = Qcow2Header.Read(medium);
        IReadOnlyList<Snapshot> read = SnapshotTable.Read(medium, header).Snapshots;
        Assert.Equal(["first", "zweite – mit Umlaut äöü", ""], read.Select(s => s.Name));
        Assert.Equal(["1", "2", "3"], read.Select(s => s.Id));
        Assert.All(read, s =>
        {
            Assert.Null(s.DescribeFault(header, medium.Length));
            Assert.Equal(64L << 20, s.DiskBytes);
            Assert.Equal(0UL, s.VmStateBytes);
            Assert.InRange(s.Date, DateTimeOffset.UtcNow.AddMinutes(-10), DateTimeOffset.UtcNow.AddMinutes(1));
            Assert.Equal(header.L1Size, s.L1Size);
        });
    }

    [Fact]
    public void A_rewritten_table_is_the_same_to_the_byte()
    {
        string image = WithSnapshots("1.1", "a", "bcdefgh", "ij");
        using var medium = new TestFileMedium(image, readOnly: true);
        Qcow2Header header = Qcow2Header.Read(medium);
        SnapshotTable table = SnapshotTable.Read(medium, header);
        byte[] stored = new byte[table.ByteLength];
        medium.Read(header.SnapshotsOffset, stored);
        byte[] rewritten = SnapshotTable.Serialize(table.Snapshots);
        // QEMU's extra data has a third field (icount), which is kept as unknown.
        Assert.Equal(stored, rewritten);
    }

    [Fact]
    public void Qemu_reads_a_table_that_was_written_here()
    {
        string image = WithSnapshots("1.1", "old", "older");
        using (var medium = new TestFileMedium(image))
        {
            Qcow2Header header = Qcow2Header.Read(medium);
            SnapshotTable table = SnapshotTable.Read(medium, header);
            Snapshot renamed = table.Snapshots[0] with { StoredName = Encoding.UTF8.GetBytes("new name"), DiskBytes = 64L << 20, FurtherExtraData = default };
            medium.Write(header.SnapshotsOffset, SnapshotTable.Serialize([renamed, table.Snapshots[1]]), ContentClass.Snapshot);
        }

        string listed = Qemu.Img("snapshot", "-l", image);
        Assert.Contains("new name", listed, StringComparison.Ordinal);
        Assert.Contains("older", listed, StringComparison.Ordinal);
        Qemu.Img("check", "-q", image);
    }

    [Fact]
    public void Tables_that_run_out_of_the_file_or_of_bounds_are_refused()
    {
        string image = WithSnapshots("1.1", "a", "b");
        using var medium = new TestFileMedium(image);
        Qcow2Header header = Qcow2Header.Read(medium);
        byte[] huge = [0xff, 0xff, 0xff, 0xff];
        medium.Write(header.SnapshotsOffset + 36, huge, ContentClass.Snapshot);
        Assert.Contains("extra data", Assert.Throws<DiagnosticException>(() => SnapshotTable.Read(medium, header)).Message, StringComparison.Ordinal);
        header.SnapshotsOffset = medium.Length - 16;
        Assert.Contains("beyond the file", Assert.Throws<DiagnosticException>(() => SnapshotTable.Read(medium, header)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_zeroed_table_of_the_largest_count_is_read_in_bounded_space()
    {
        string image = WithSnapshots("1.1", "a");
        using var medium = new TestFileMedium(image);
        Qcow2Header header = Qcow2Header.Read(medium);
        header.SnapshotsOffset = medium.Length;
        medium.SetLength(medium.Length + (Qcow2Layout.MaxSnapshots * 40L));
        header.SnapshotCount = Qcow2Layout.MaxSnapshots;
        Assert.Equal(Qcow2Layout.MaxSnapshots * 40, SnapshotTable.Read(medium, header).ByteLength);
    }

    [Theory]
    [InlineData(0x10001, 1, "not aligned")]
    [InlineData(0, 1, "not inside the file")]
    [InlineData(0x7fff_ffff_ffff_0000, 1, "not inside the file")]
    [InlineData(-65536, 1, "not inside the file")]
    [InlineData(0x30000, -1, "entries")]
    [InlineData(0x30000, 0x7fff_ffff, "entries")]
    public void A_snapshot_whose_map_cannot_be_used_says_why(long l1Offset, int l1Size, string words)
    {
        string image = WithSnapshots("1.1", "a");
        using var medium = new TestFileMedium(image, readOnly: true);
        Qcow2Header header = Qcow2Header.Read(medium);
        Snapshot broken = SnapshotTable.Read(medium, header).Snapshots[0] with { L1TableOffset = l1Offset, L1Size = l1Size };
        Assert.Contains(words, broken.DescribeFault(header, medium.Length), StringComparison.Ordinal);
    }

    private string WithSnapshots(string compat, params string[] names)
    {
        string image = PathOf("image.qcow2");
        Qemu.Img("create", "-q", "-f", "qcow2", "-o", $"compat={compat}", image, "64M");
        foreach (string name in names)
        {
            Qemu.Io(image, "write -P 1 0 1M");
            Qemu.Img("snapshot", "-c", name, image);
        }

        return image;
    }
}
