using System.Buffers.Binary;
using Microsoft.Extensions.Logging;
using StoragePlugins.Qcow2.Header;
using StoragePlugins.Qcow2.Metadata;
using StoragePlugins.Qcow2.Snapshots;

namespace StoragePlugins.Qcow2;

/// <summary>
/// Opens an image: header → journal recovery → repair of a dirty image → tables, judged before anything trusts them → backing file.
/// </summary>
internal sealed class ImageOpener(OpenRequest request, StrategyContext context)
{
    private IOrderedMedium _storage = request.Storage;
    private readonly MetadataMap _metadata = new();

    public Qcow2Image Open()
    {
        Qcow2Header header = Qcow2Header.ReadBeforeRecovery(_storage);
        var site = new Qcow2JournalSite(header, _storage, request.JournalId, request.ReadOnly);
        IJournalSession journal = request.OpenJournal(site, _storage);
        IVirtualDisk? backing = null;
        try
        {
            RecoveryReport report = journal.Recover();
            _storage = journal.Home;
            if (!report.WasClean) context.Logger.LogInformation("{Image}: {Summary}", _storage.Name, report.Summary);
            if ((header.IncompatibleFeatures & Qcow2Features.JournalInUse) != 0)
            {
                header = Qcow2Header.Read(_storage);
                site.HeaderChanged(header);
            }

            if (!request.ReadOnly) header = PrepareForWriting(header, site);
            _metadata.Add(0);
            ulong[] l1 = LoadL1(header);
            ulong[] refcountTable = request.ReadOnly ? [] : LoadRefcountTable(header);
            IReadOnlyList<Snapshot> snapshots = LoadSnapshots(header);
            if (header.BackingFile is not null) backing = request.OpenBacking(new BackingRequest(header.BackingFile, header.BackingFormat));
            var image = new Qcow2Image(
                header, request.Storage, journal, site, l1, refcountTable, _metadata, backing, snapshots, context.Options<Qcow2Options>(), request.ReadOnly);
            if (request.ReadOnly) return image;
            ClearAutoclearFeatures(header);
            journal.Start();
            return image;
        }
        catch
        {
            backing?.Dispose();
            journal.Dispose();
            throw;
        }
    }

    private Qcow2Header PrepareForWriting(Qcow2Header header, Qcow2JournalSite site)
    {
        if ((header.IncompatibleFeatures & Qcow2Features.Corrupt) != 0)
            throw new DiagnosticException("SP3006", "the image is marked corrupt and can only be read", _storage.Name,
                fix: "copy what you need, then run: sphost image check --repair all");
        if ((header.IncompatibleFeatures & Qcow2Features.Dirty) == 0) return header;
        header = RepairDirty(header);
        site.HeaderChanged(header);
        return header;
    }

    /// <summary>Another program's bitmaps and the like do not follow our writes: the specification wants their bits cleared first. Last, so
    /// that an image that cannot be opened keeps them.</summary>
    private void ClearAutoclearFeatures(Qcow2Header header)
    {
        ulong kept = header.AutoclearFeatures & Qcow2Features.JournalValid;
        if (header.AutoclearFeatures == kept) return;
        header.AutoclearFeatures = kept;
        byte[] field = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(field, kept);
        request.Storage.Write(Qcow2Layout.AutoclearFeaturesOffset, field, ContentClass.Header);
        request.Storage.Flush();
    }

    /// <summary>Rebuilds the refcounts of an image that was not closed after lazy refcount updates.</summary>
    private Qcow2Header RepairDirty(Qcow2Header header)
    {
        context.Logger.LogInformation("{Image}: it was not closed cleanly; its refcounts are being rebuilt", _storage.Name);
        CheckReport repair = new Check.Qcow2Checker(_storage, header).Run(RepairMode.All);
        if (repair.Corruptions > 0)
            throw new DiagnosticException("SP3007", $"the image was not closed cleanly and {repair.Corruptions} errors cannot be repaired", _storage.Name,
                found: repair.Findings.Count > 0 ? repair.Findings[0] : null, fix: "run: sphost image check; the data can still be read with --read-only");
        _storage.Flush();
        return Qcow2Header.Read(_storage);
    }

    private ulong[] LoadL1(Qcow2Header header)
    {
        ulong[] l1 = ReadTable(header.L1TableOffset, header.L1Size);
        Require(AddTable(header.L1TableOffset, header.L1Size * 8L, header), "the L1 table overlaps other metadata", header.L1TableOffset);
        for (int i = 0; i < l1.Length; i++)
        {
            if (l1[i] == 0) continue;
            long table = (long)(l1[i] & Qcow2Layout.OffsetMask);
            bool valid = (l1[i] & Qcow2Layout.L1ReservedMask) == 0 && IsTableInFile(table, header);
            Require(valid, $"L1 entry {i} is {l1[i]:x16}, which is not the offset of a table in the file", header.L1TableOffset + (i * 8L));
            Require(AddTable(table, header.ClusterSize, header), $"the L2 table of L1 entry {i} at {table} overlaps other metadata", header.L1TableOffset + (i * 8L));
        }

        return l1;
    }

    private ulong[] LoadRefcountTable(Qcow2Header header)
    {
        int entries = header.RefcountTableClusters * (header.ClusterSize / 8);
        ulong[] table = ReadTable(header.RefcountTableOffset, entries);
        Require(AddTable(header.RefcountTableOffset, entries * 8L, header), "the refcount table overlaps other metadata", header.RefcountTableOffset);
        for (int i = 0; i < table.Length; i++)
        {
            if (table[i] == 0) continue;
            bool valid = (table[i] & ~Qcow2Layout.RefcountTableOffsetMask) == 0 && IsTableInFile((long)table[i], header);
            Require(valid, $"refcount table entry {i} is {table[i]:x16}, which is not the offset of a block in the file", header.RefcountTableOffset + (i * 8L));
            Require(AddTable((long)table[i], header.ClusterSize, header), $"refcount block {i} at {table[i]} overlaps other metadata", header.RefcountTableOffset + (i * 8L));
        }

        return table;
    }

    private IReadOnlyList<Snapshot> LoadSnapshots(Qcow2Header header)
    {
        if (header.SnapshotCount == 0) return [];
        SnapshotTable table = SnapshotTable.Read(_storage, header);
        Require(AddTable(header.SnapshotsOffset, table.ByteLength, header), "the snapshot table overlaps other metadata", header.SnapshotsOffset);
        foreach (Snapshot snapshot in table.Snapshots)
        {
            // A broken snapshot must not take the live disk with it: it is refused when it is opened.
            if (snapshot.DescribeFault(header, _storage.Length) is null)
                Require(AddTable(snapshot.L1TableOffset, snapshot.L1Size * 8L, header), $"the L1 table of snapshot '{snapshot.Name}' overlaps other metadata", snapshot.L1TableOffset);
        }

        return table.Snapshots;
    }

    private ulong[] ReadTable(long offset, int entries)
    {
        byte[] bytes = new byte[entries * 8L];
        _storage.Read(offset, bytes);
        var table = new ulong[entries];
        for (int i = 0; i < entries; i++) table[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
        return table;
    }

    private bool IsTableInFile(long offset, Qcow2Header header) =>
        offset > 0 && offset % header.ClusterSize == 0 && offset <= _storage.Length - header.ClusterSize;

    private bool AddTable(long offset, long bytes, Qcow2Header header) => bytes == 0
        || _metadata.TryAddRange(offset >> header.ClusterBits, (bytes + header.ClusterSize - 1) >> header.ClusterBits);

    /// <summary>For writing, a wrong table is refused. For reading, what can be read is worth more: a warning, and errors where it matters.</summary>
    private void Require(bool holds, string what, long where)
    {
        if (holds) return;
        if (!request.ReadOnly)
            throw new DiagnosticException("SP3005", $"the image is corrupt: {what}", $"{_storage.Name} at {where}",
                fix: "run: sphost image check; what is readable can be read with --read-only");
        context.Logger.LogWarning("{Image}: the image is corrupt: {What}", _storage.Name, what);
    }
}
