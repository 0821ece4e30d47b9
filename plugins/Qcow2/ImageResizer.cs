using StoragePlugins.Qcow2.Data;
using StoragePlugins.Qcow2.Header;
using StoragePlugins.Qcow2.Metadata;

namespace StoragePlugins.Qcow2;

/// <summary>Changes the length of the live disk, with the disk to itself.</summary>
internal sealed class ImageResizer(
    Qcow2Header header, object metadataLock, MapTables maps, ClusterZeroer zeroer, Committer committer, RequestEpochs epochs, string name)
{
    /// <summary>Sets the length; durable on return.</summary>
    public void Resize(long length)
    {
        long entries = header.L1EntriesFor(length);
        if (length < 0 || length % 512 != 0 || entries * 8 > Qcow2Layout.MaxL1Bytes)
            throw new DiagnosticException("SP3012", "the size is out of range", name,
                $"a multiple of 512 up to {Qcow2Layout.MaxL1Bytes / 8 * header.BytesPerL2Table} with clusters of {header.ClusterSize} bytes", length.ToString());
        if (header is { Version: < 3, SnapshotCount: > 0 })
            throw new DiagnosticException("SP3026", "a version 2 image with snapshots cannot be resized: its snapshots do not say how long their disks are", name,
                fix: "delete the snapshots, or convert the image to version 3");
        using RequestEpochs.Quiesced quiet = epochs.Quiesce();
        if (length >= header.Size) Grow(length, (int)entries);
        else Shrink(length);
    }

    private void Grow(long length, int entries)
    {
        long old = header.Size;
        // All of the L1 table's last cluster, so that the next small growth finds room.
        int perCluster = header.ClusterSize / 8;
        int roomy = (int)Math.Min((entries + perCluster - 1L) / perCluster * perCluster, Qcow2Layout.MaxL1Bytes / 8);
        if (entries > maps.L1.Length)
        {
            lock (metadataLock) maps.GrowRoot(roomy);
        }

        // What lies between the old end and the new one may hold bytes of before a shrink, also of one that a crash ended after its first commit, or
        // show a longer backing file.
        if (length > old)
        {
            zeroer.Zero(old, length - old, mayUnmap: true, length);
            // Zeros that were written in place are published by no mapping, and of two fields of the header a crash may leave one: the size waits for
            // the zeros and for an L1 table that is long enough.
            committer.Commit(CommitGoal.Ordered);
        }

        lock (metadataLock) maps.SetSize(length);
        committer.CommitAll();
    }

    private void Shrink(long length)
    {
        long old = header.Size;
        lock (metadataLock) maps.SetSize(length);
        committer.Commit(CommitGoal.Durable);
        long first = (length + header.ClusterSize - 1) & -(long)header.ClusterSize;
        if (old > first) zeroer.Discard(first, old - first, old);
        committer.CommitAll();
    }
}
