namespace StoragePlugins.BarrierOverheadBench;

/// <summary>A write of a file in the guest file system and what makes it durable.</summary>
internal sealed class GuestLoad(string name, string description, Target target, Durability durability, bool hasNeighbour = false) : Load(name, description)
{
    // How much a write of the preparation takes at once.
    private const int FillRecords = 16;

    /// <summary>The loads of the guest file system.</summary>
    public static IReadOnlyList<Load> All { get; } =
    [
        new GuestLoad("mobibench overwrite", "at random over a file that exists, fdatasync(2) after each record: the load of the open question", Target.Shuffled, Durability.DataSync),
        new GuestLoad("mobibench overwrite, fsync", "the same with fsync(2)", Target.Shuffled, Durability.Sync),
        new GuestLoad("dd overwrite, dsync", "in order over a file that exists, O_DSYNC (dd conv=notrunc oflag=dsync)", Target.InOrder, Durability.OpenDataSync),
        new GuestLoad("dd overwrite, sync", "in order over a file that exists, O_SYNC (dd conv=notrunc oflag=sync)", Target.InOrder, Durability.OpenSync),
        new GuestLoad("append", "a new file, fdatasync(2) after each record", Target.Fresh, Durability.DataSync),
        new GuestLoad("append, used clusters", "the same where a deleted file was: clusters that the image has allocated", Target.Recycled, Durability.DataSync),
        new GuestLoad("overwrite beside append", "mobibench overwrite while another thread appends to a file of its own with fdatasync(2)", Target.Shuffled, Durability.DataSync, hasNeighbour: true),
    ];

    public override IPreparedLoad Prepare(Volume volume)
    {
        var guest = (GuestVolume)volume;
        string path = Path.Combine(guest.Folder, $"{Array.IndexOf([.. All], this)}.dat");
        int flags = durability switch
        {
            Durability.OpenDataSync => GuestFile.DataSynchronous,
            Durability.OpenSync => GuestFile.Synchronous,
            _ => 0,
        };
        if (target is not Target.Fresh) Fill(path);
        if (target is Target.Recycled)
        {
            File.Delete(path);
            guest.Settle();
        }

        long[]? offsets = target switch
        {
            Target.Shuffled => Shuffled(),
            Target.InOrder => [.. Enumerable.Range(0, AreaRecords).Select(record => (long)record * RecordBytes)],
            _ => null,
        };
        return new Prepared(new GuestFile(path, flags), offsets, durability, hasNeighbour ? new GuestFile(path + ".neighbour") : null);
    }

    private static void Fill(string path)
    {
        using var file = new GuestFile(path);
        byte[] piece = [.. Enumerable.Repeat(Record, FillRecords).SelectMany(each => each)];
        for (long record = 0; record < AreaRecords; record += FillRecords) file.Write(piece, record * RecordBytes);
        file.SyncAll();
    }

    private sealed class Prepared(GuestFile file, long[]? offsets, Durability durability, GuestFile? neighbour) : IPreparedLoad
    {
        private long _next;
        private long _neighbourEnd;

        public void Run(int operations)
        {
            if (neighbour is null)
            {
                Write(operations);
                return;
            }

            bool isOver = false;
            Exception? failure = null;
            var beside = new Thread(() =>
            {
                try
                {
                    while (!Volatile.Read(ref isOver))
                    {
                        neighbour.Write(Record, _neighbourEnd);
                        neighbour.SyncData();
                        _neighbourEnd += RecordBytes;
                    }
                }
                catch (BenchException e)
                {
                    failure = e;
                }
            });
            beside.Start();
            Write(operations);
            Volatile.Write(ref isOver, true);
            beside.Join();
            if (failure is not null) throw failure;
        }

        public void Dispose()
        {
            file.Dispose();
            neighbour?.Dispose();
        }

        private void Write(int operations)
        {
            for (int i = 0; i < operations; i++)
            {
                file.Write(Record, offsets is null ? _next * RecordBytes : offsets[_next % offsets.Length]);
                if (durability == Durability.DataSync) file.SyncData();
                else if (durability == Durability.Sync) file.SyncAll();
                _next++;
            }
        }
    }
}

/// <summary>Where a <see cref="GuestLoad"/> writes.</summary>
internal enum Target
{
    /// <summary>Over a file, each record once, at random.</summary>
    Shuffled = 0,

    /// <summary>Over a file, from its start.</summary>
    InOrder,

    /// <summary>To a new file.</summary>
    Fresh,

    /// <summary>To a new file where a deleted one was.</summary>
    Recycled,
}

/// <summary>What makes a record durable.</summary>
internal enum Durability
{
    /// <summary>fdatasync(2).</summary>
    DataSync = 0,

    /// <summary>fsync(2).</summary>
    Sync,

    /// <summary>O_DSYNC.</summary>
    OpenDataSync,

    /// <summary>O_SYNC.</summary>
    OpenSync,
}
