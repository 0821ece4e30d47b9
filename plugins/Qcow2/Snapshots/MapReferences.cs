using System.Buffers.Binary;
using StoragePlugins.Qcow2.Data;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Snapshots;

/// <summary>Reads the L2 tables of a map straight from home and says which host clusters they refer to. Nothing may be left to commit.</summary>
internal sealed class MapReferences(Qcow2Header header, IOrderedMedium home, ClusterReader reader, CompressedClusterReader compressed)
{
    private readonly byte[] _bytes = new byte[header.ClusterSize];
    private readonly ulong[] _table = new ulong[header.L2Entries];

    /// <summary>The L2 table that an L1 entry names; 0 for none.</summary>
    /// <exception cref="StorageException">The entry is not that of a table in the file.</exception>
    public long TableOf(ulong[] l1, int index)
    {
        ulong entry = l1[index];
        long table = (long)(entry & Qcow2Layout.OffsetMask);
        bool isValid = (entry & Qcow2Layout.L1ReservedMask) == 0 && (table & (header.ClusterSize - 1)) == 0 && table <= home.Length - header.ClusterSize;
        return isValid ? table : throw new StorageException(StorageError.Io, "map", home.Name, table, header.ClusterSize,
            $"the image is corrupt: L1 entry {index} is {entry:x16}; run: sphost image check");
    }

    /// <summary>Reads a table. The result is valid until the next call.</summary>
    public ulong[] Read(long table)
    {
        _bytes.AsSpan(home.Read(table, _bytes)).Clear();
        for (int i = 0; i < _table.Length; i++) _table[i] = BinaryPrimitives.ReadUInt64BigEndian(_bytes.AsSpan(i * sizeof(ulong)));
        return _table;
    }

    /// <summary>Tells every reference of a map: of L1 entries to tables, of L2 entries to data, each as first and last cluster.</summary>
    public void Walk(ulong[] l1, Action<long, long> reference)
    {
        for (int i = 0; i < l1.Length; i++)
        {
            long table = TableOf(l1, i);
            if (table == 0) continue;
            reference(table >> header.ClusterBits, table >> header.ClusterBits);
            ulong[] entries = Read(table);
            for (int k = 0; k < entries.Length; k++)
            {
                ulong entry = entries[k];
                if (entry == 0) continue;
                ClusterMapping mapping = Decode(entry, i, k);
                if (mapping.Kind == ClusterKind.Compressed)
                {
                    (long first, long last) = compressed.HostClustersOf(entry);
                    reference(first, last);
                }
                else if (mapping.HostOffset != 0)
                {
                    reference(mapping.HostOffset >> header.ClusterBits, mapping.HostOffset >> header.ClusterBits);
                }
            }
        }
    }

    /// <summary>Sets the copied flags of a table that was <see cref="Read"/> to what the refcounts say.</summary>
    /// <returns>Whether one was wrong.</returns>
    public bool SetCopiedFlags(ulong[] entries, int l1Index, RefcountDraft counts)
    {
        bool changed = false;
        for (int k = 0; k < entries.Length; k++)
        {
            ulong entry = entries[k];
            if (entry == 0) continue;
            ClusterMapping mapping = Decode(entry, l1Index, k);
            if (mapping.HostOffset == 0) continue;
            bool isOwn = counts.Count(mapping.HostOffset >> header.ClusterBits) == 1;
            if (isOwn == mapping.Copied) continue;
            entries[k] = entry ^ Qcow2Layout.CopiedFlag;
            changed = true;
        }

        return changed;
    }

    private ClusterMapping Decode(ulong entry, int l1Index, int l2Index) =>
        reader.Decode(entry, (l1Index * header.BytesPerL2Table) + ((long)l2Index << header.ClusterBits));
}
