namespace StoragePlugins.EndToEnd.Tests;

/// <summary>Images made by qemu-img, written through NBD, then judged by QEMU.</summary>
public sealed class WritingTests : Scratch
{
    private static readonly int s_writes = IsLong ? 3000 : 250;

    public static TheoryData<string> Kinds => SampleImage.Kinds;

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Random_writes_zeroings_and_discards_leave_what_a_raw_file_got(string kind)
    {
        string image = SampleImage.Make(kind, Folder), reference = PathOf("reference.raw");
        Qemu.Img("convert", "-f", Qemu.FormatOf(image), "-O", "raw", image, reference);
        CopySnapshots(kind, image);
        using (SphostProcess sphost = SphostProcess.Serve(Folder, image))
        {
            var writes = new GuestWrites(GuestFileSystem.Size, seed: kind.Length);
            writes.Run(sphost.Uri(), reference, s_writes);
            Tool.Succeed("nbdcopy", sphost.Uri(), PathOf("copy.out"));
            writes.Settle(PathOf("copy.out"), reference);
            sphost.Close();
        }

        RequireGood(kind, image, reference);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void What_fio_writes_at_depth_16_is_there_when_QEMU_reads_the_image(string kind)
    {
        string image = SampleImage.Make(kind, Folder), reference = PathOf("reference.raw");
        CopySnapshots(kind, image);
        string[] job = ["--rw=randwrite", "--bsrange=512-256k", "--size=32M", "--offset=4M", "--iodepth=16", "--randseed=7", "--verify=crc32c", "--verify_fatal=1"];
        using (SphostProcess sphost = SphostProcess.Serve(Folder, image))
        {
            Fio.Nbd(sphost.Uri(), [.. job, "--do_verify=1"]);
            sphost.Close();
        }

        Qemu.Img("convert", "-f", Qemu.FormatOf(image), "-O", "raw", image, reference);
        Fio.File(reference, [.. job, "--verify_only"]);
        RequireGood(kind, image, reference);
    }

    private void CopySnapshots(string kind, string image)
    {
        foreach (string snapshot in SampleImage.SnapshotsOf(kind)) Qemu.Img("convert", "-l", snapshot, "-O", "raw", image, PathOf(snapshot + ".raw"));
    }

    /// <summary>Sound and identical by QEMU, and the same when served again.</summary>
    private void RequireGood(string kind, string image, string reference)
    {
        Qemu.RequireClean(image);
        Qemu.RequireIdentical(image, reference);
        using (SphostProcess again = SphostProcess.Serve(Folder, image))
        {
            Tool.Succeed("nbdcopy", again.Uri(), PathOf("again.out"));
            foreach (string snapshot in SampleImage.SnapshotsOf(kind)) Tool.Succeed("nbdcopy", again.Uri("@" + snapshot), PathOf(snapshot + ".out"));
            again.Close();
        }

        Bytes.RequireEqual(reference, PathOf("again.out"));
        foreach (string snapshot in SampleImage.SnapshotsOf(kind)) Bytes.RequireEqual(PathOf(snapshot + ".raw"), PathOf(snapshot + ".out"));
        Qemu.RequireClean(image);
    }
}
