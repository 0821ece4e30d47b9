namespace StoragePlugins.FuseBench;

/// <summary>What is compared.</summary>
/// <param name="Name">As shown.</param>
/// <param name="Peer">Whom its rates are divided by; itself for a peer.</param>
/// <param name="IsDisk">A file of fixed length is mounted.</param>
/// <param name="Prepare">A shell line that makes the image $IMAGE of $MIB MiB.</param>
/// <param name="Mount">A shell line that mounts it on $POINT: a directory, or for QEMU a file. It stays or returns.</param>
/// <param name="File">Of the mount, where the load goes; empty when the mountpoint is the file.</param>
internal sealed record Contender(string Name, string Peer, bool IsDisk, string Prepare, string Mount, string File)
{
    private const string Ext4 = "ext4 on loop";
    private const string QemuRaw = "raw, qemu-storage-daemon";
    private const string QemuQcow2 = "qcow2, qemu-storage-daemon";

    /// <summary>All, trees first.</summary>
    public static IReadOnlyList<Contender> All(string sphost) =>
    [
        new(Ext4, Ext4, false, "truncate -s $((MIB * 2 + 128))M $IMAGE && mkfs.ext4 -q $IMAGE", "mount -o loop $IMAGE $POINT", "file"),
        new("tree in memory", Ext4, false, "true", $"exec {Environment.ProcessPath} {MemoryMount.Verb} $POINT {Environment.ProcessorCount}", "file"),
        new(
            "pmfs", Ext4, false,
            """echo '{ "pipelines": { "pm": { "format": "pmfs", "journal": "ordered", "ordering": "fdatasync", "medium": [ { "id": "pm", "emulated": true }, "file" ] } } }' > $IMAGE.json && """
                + $"{sphost} image create -f pmfs $IMAGE $((MIB * 2 + 128))M >&2",
            $"exec {sphost} mount $IMAGE $POINT --config $IMAGE.json --pipeline pm", "file"),
        new(QemuRaw, QemuRaw, true, "truncate -s ${MIB}M $IMAGE", Qemu("raw"), ""),
        new("raw, sphost", QemuRaw, true, "truncate -s ${MIB}M $IMAGE", $"exec {sphost} mount $IMAGE $POINT --pipeline raw", "disk"),
        new(QemuQcow2, QemuQcow2, true, "qemu-img create -q -f qcow2 $IMAGE ${MIB}M", Qemu("qcow2"), ""),
        new("qcow2, sphost", QemuQcow2, true, "qemu-img create -q -f qcow2 $IMAGE ${MIB}M", $"exec {sphost} mount $IMAGE $POINT", "disk"),
    ];

    private static string Qemu(string format) =>
        $"exec qemu-storage-daemon --blockdev driver=file,node-name=file,filename=$IMAGE --blockdev driver={format},node-name=disk,file=file --export type=fuse,id=export,node-name=disk,mountpoint=$POINT,writable=on";
}
