using System.Buffers.Binary;
using System.Diagnostics;
using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>db_bench's fillsync, as far as it reaches the disk: LevelDB's log of a fresh database, a batch of one put and an fdatasync each.</summary>
/// <remarks>Keys of 16 and values of 100 bytes in random order. The memtable of 4 MiB never fills in the thousand puts of the definition, so that the log is all there is.</remarks>
internal sealed class FillSyncWorkload : EvaluationWorkload
{
    /// <summary>Header of a batch: sequence number and count.</summary>
    private const int BatchHeaderBytes = 12;

    private const int KeyBytes = 16, ValueBytes = 100;

    /// <summary>A log is a sequence of blocks; a record's header never crosses one.</summary>
    internal const int BlockBytes = 32 << 10;

    /// <summary>Checksum, length and type.</summary>
    internal const int RecordHeaderBytes = 7;

    /// <summary>A batch with one put: tag, length and key, length and value.</summary>
    internal const int BatchBytes = BatchHeaderBytes + 1 + 1 + KeyBytes + 1 + ValueBytes;

    private static readonly Scaled s_puts = new(128, 1000, 1000);

    public override WorkloadFacts Facts => new(
        "fillsync", "db_bench fillsync",
        "LevelDB's db_bench fillsync: puts of a 16-byte key and 100-byte value in random order to a fresh database, sync=true; our implementation of its log: blocks of 32 KiB, a record and an fdatasync each put",
        "one put, durable on return");

    public override bool RunsIn(DeviceRegime regime, EvaluationScale scale) => regime == DeviceRegime.AsIs || scale != EvaluationScale.Quick;

    public override long DiskBytes(WorkloadSize size) => size.Operations(s_puts) * (BatchBytes + RecordHeaderBytes) + BlockBytes;

    public override WorkloadResult Run(WorkloadRun run)
    {
        int puts = (int)run.Size.Operations(s_puts);
        var random = new Random(run.Round);
        byte[] record = new byte[RecordHeaderBytes + BatchBytes];
        long[] ticks = new long[puts];
        using var log = new SyncedFile(run.NewPath(this, ".log"), FileMode.CreateNew);
        run.BeginTimed();
        long start = Stopwatch.GetTimestamp(), previous = start, offset = 0;
        for (int i = 0; i < puts; i++)
        {
            FillBatch(record.AsSpan(RecordHeaderBytes), i, random.Next(puts), random);
            offset = Append(log, record, offset);
            log.SyncData();
            long now = Stopwatch.GetTimestamp();
            ticks[i] = now - previous;
            previous = now;
            run.Cancel.ThrowIfCancellationRequested();
        }

        run.EndTimed();
        return new WorkloadResult(puts, Stopwatch.GetElapsedTime(start, previous).TotalSeconds, (long)puts * (KeyBytes + ValueBytes), LatencySamples.OfTicks(ticks));
    }

    /// <summary>Appends a batch that stands behind room for a record's header, in as many records as blocks that it touches.</summary>
    /// <returns>Where the log ends.</returns>
    internal static long Append(SyncedFile log, byte[] record, long offset)
    {
        int done = 0;
        Span<byte> header = stackalloc byte[RecordHeaderBytes];
        while (done < BatchBytes)
        {
            int left = BlockBytes - (int)(offset % BlockBytes);
            if (left < RecordHeaderBytes)
            {
                log.Write(new byte[left], offset);
                offset += left;
                left = BlockBytes;
            }

            int part = Math.Min(BatchBytes - done, left - RecordHeaderBytes);
            // Full, first, last or middle part of a batch.
            byte type = (byte)((done == 0, done + part == BatchBytes) switch { (true, true) => 1, (true, false) => 2, (false, true) => 4, _ => 3 });
            BinaryPrimitives.WriteUInt16LittleEndian(header[4..], (ushort)part);
            header[6] = type;
            if (part == BatchBytes)
            {
                header.CopyTo(record);
                log.Write(record, offset);
            }
            else
            {
                log.Write((byte[])[.. header, .. record.AsSpan(RecordHeaderBytes + done, part)], offset);
            }

            offset += RecordHeaderBytes + part;
            done += part;
        }

        return offset;
    }

    private static void FillBatch(Span<byte> batch, long sequence, int key, Random random)
    {
        BinaryPrimitives.WriteInt64LittleEndian(batch, sequence + 1);
        BinaryPrimitives.WriteInt32LittleEndian(batch[8..], 1);
        batch = batch[BatchHeaderBytes..];
        batch[0] = 1;
        batch[1] = KeyBytes;
        key.TryFormat(batch.Slice(2, KeyBytes), out _, "D16", System.Globalization.CultureInfo.InvariantCulture);
        batch[2 + KeyBytes] = ValueBytes;
        random.NextBytes(batch[(3 + KeyBytes)..]);
    }
}
