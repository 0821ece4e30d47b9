using System.Buffers.Binary;
using StoragePlugins.CrashKit.Contracts.Model;

namespace StoragePlugins.CrashKit.Tests.PublishedFailures;

/// <summary>
/// A redo journal as file systems had them before checksums: each sector of a record bears the record's number, and a record counts when all of its sectors bear
/// it. The ring is a device of its own, and short, so that records often cross its end.
/// </summary>
/// <param name="hasChecksums">Each sector has a checksum besides. Without it a sector is taken for atomic.</param>
/// <param name="takesHalvesInOrder">A record is written in two halves where the ring ends; the second half without the first is taken for damage.</param>
internal sealed class StampedJournal(bool hasChecksums, bool takesHalvesInOrder) : IMetadataJournal
{
    public IJournalSession Open(IJournalSite site, IOrderedMedium home, StrategyContext context) => new Session(StampedRing.Open(context, site.IsReadOnly, hasChecksums), home, site.IsReadOnly, takesHalvesInOrder);

    private sealed class Session(StampedRing? ring, IOrderedMedium home, bool isReadOnly, bool takesHalvesInOrder) : IJournalSession
    {
        private IOrderedMedium? _patched;
        private DurabilityLostException? _poison;

        public IOrderedMedium Home => _patched ?? home;

        public long MaxTransactionBytes => 512;

        public bool IsAtomic => true;

        public RecoveryReport Recover()
        {
            if (ring is null) return RecoveryReport.Clean;
            (byte[] record, bool hasHalf) = ring.Newest();
            if (hasHalf && takesHalvesInOrder)
                throw new DiagnosticException("SP9001", "the log is damaged: the second half of a record is there without the first", home.Name, fix: "restore a backup");
            var images = new List<(long Offset, byte[] Bytes)>();
            for (int at = 0; at + 12 <= record.Length && BinaryPrimitives.ReadInt32LittleEndian(record.AsSpan(at + 8)) is > 0 and var length; at += 12 + length)
                images.Add((BinaryPrimitives.ReadInt64LittleEndian(record.AsSpan(at)), record.AsSpan(at + 12, length).ToArray()));
            if (isReadOnly) _patched = new PatchedMedium(home, images);
            else foreach ((long offset, byte[] bytes) in images) home.Write(offset, bytes, ContentClass.Checkpoint);
            if (!isReadOnly) home.Flush();
            return images.Count == 0 ? RecoveryReport.Clean : new RecoveryReport(false, 1, record.Length, "replayed");
        }

        public void Start()
        {
        }

        public void Commit(MetadataTransaction transaction, CommitGoal goal)
        {
            if (_poison is not null) throw _poison;
            try
            {
                // Data, and what the record before has changed, is durable before the next record.
                home.Flush();
                if (transaction.Count == 0) return;
                byte[] record = new byte[transaction.ByteCount + (12L * transaction.Count)];
                int at = 0;
                foreach (AfterImage image in Enumerable.Range(0, MetadataTransaction.MaxStages).SelectMany(transaction.Stage))
                {
                    BinaryPrimitives.WriteInt64LittleEndian(record.AsSpan(at), image.Offset);
                    BinaryPrimitives.WriteInt32LittleEndian(record.AsSpan(at + 8), image.Length);
                    transaction.Bytes(image).CopyTo(record.AsSpan(at + 12));
                    at += 12 + image.Length;
                }

                ring!.Append(record);
            }
            catch (StorageException failure)
            {
                throw _poison = new DurabilityLostException("commit", home.Name, failure.Message, failure);
            }

            foreach (AfterImage image in Enumerable.Range(0, MetadataTransaction.MaxStages).SelectMany(transaction.Stage)) home.Write(image.Offset, transaction.Bytes(image), image.Content);
        }

        public void Checkpoint()
        {
        }

        public void Close()
        {
            if (_poison is not null) throw _poison;
            home.Flush();
        }

        public T? GetCapability<T>() where T : class => this as T;

        public void Dispose() => ring?.Dispose();
    }

    /// <summary>An image that must not be written, as its replay will show it.</summary>
    private sealed class PatchedMedium(IOrderedMedium home, List<(long Offset, byte[] Bytes)> images) : IOrderedMedium
    {
        public string Name => home.Name;

        public long Length => home.Length;

        public bool IsReadOnly => true;

        public int Read(long offset, Span<byte> buffer)
        {
            int got = home.Read(offset, buffer);
            foreach ((long at, byte[] bytes) in images)
            {
                long from = Math.Max(at, offset), to = Math.Min(at + bytes.Length, offset + got);
                if (from < to) bytes.AsSpan((int)(from - at), (int)(to - from)).CopyTo(buffer[(int)(from - offset)..]);
            }

            return got;
        }

        public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content) => throw new NotSupportedException();

        public void SetLength(long length) => throw new NotSupportedException();

        public void Barrier()
        {
        }

        public void Flush()
        {
        }

        public T? GetCapability<T>() where T : class => null;

        public void Dispose()
        {
        }
    }
}
