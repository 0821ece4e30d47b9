using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Models;

/// <summary>
/// A disk with a volatile write cache. Durable is what had returned before a flush was submitted that has returned; of the rest each sector
/// may hold its durable or any later content, whatever the order of the writes, and a file may have any of its lengths. A disk that keeps barriers loses
/// nothing of an epoch of which a later one left anything.
/// </summary>
/// <remarks>
/// Source: linux Documentation/block/writeback_cache_control.rst and NVMe's Flush ("commands completed prior to submission") for flushes; BarrierFS
/// (FAST '18) for epochs. The mapping of a file through <c>msync(2)</c> is such a disk too: pages are its requests.
/// </remarks>
internal sealed class BlockModel(int device, DeviceImage image, int atom, bool keepsBarriers) : DeviceModel(device, image)
{
    private const int PageBytes = 4096;

    // Entries in the order of submission; from the front they leave as they become durable.
    private readonly List<Pending> _pending = [];
    private readonly Dictionary<long, Slot> _atoms = [];
    private readonly List<TraceEvent> _cuts = [];
    private long _epoch;
    private long _length = image.Length;

    public override void Begin(TraceEvent entry)
    {
        switch (entry.Kind)
        {
            case TraceKind.Store or TraceKind.StoreNonTemporal:
                for (long at = entry.Offset, end = entry.Offset + entry.Length; at < end;)
                {
                    long next = Math.Min(end, ((at / PageBytes) + 1) * PageBytes);
                    _pending.Add(new Pending(entry, at, next - at, _epoch, _length));
                    at = next;
                }

                break;
            case TraceKind.Write:
                _length = Math.Max(_length, entry.Offset + entry.Length);
                _pending.Add(new Pending(entry, entry.Offset, entry.Length, _epoch, _length));
                break;
            case TraceKind.Zero:
                // Preallocation makes the file as long as what it fills; other zeroes end with it.
                if (entry.Content == ContentClass.Preallocation) _length = Math.Max(_length, entry.Offset + entry.Length);
                _pending.Add(new Pending(entry, entry.Offset, entry.Length, _epoch, _length));
                break;
            case TraceKind.SetLength:
                _length = entry.Offset;
                _pending.Add(new Pending(entry, entry.Offset, 0, _epoch, _length));
                break;
        }
    }

    public override void End(TraceEvent entry)
    {
        if (entry.HasFailed)
        {
            // After a failed flush the kernel calls the pages clean: a later one succeeds and has not written them.
            if (entry.Kind is TraceKind.Flush or TraceKind.Persist) foreach (Pending pending in _pending) pending.IsForgotten |= pending.Entry.End <= entry.Begin;
            return;
        }

        switch (entry.Kind)
        {
            case TraceKind.Barrier when keepsBarriers:
                // What was under way while the barrier was may persist with either epoch.
                foreach (Pending pending in _pending) if (pending.Entry.End > entry.Begin) pending.LastEpoch = _epoch + 1;
                _epoch++;
                break;
            case TraceKind.Flush:
                foreach (Pending pending in _pending) pending.IsDurable |= pending.Entry.End <= entry.Begin && !pending.IsForgotten;
                Retire();
                break;
            case TraceKind.Persist:
                long first = entry.Offset / PageBytes * PageBytes, end = (entry.Offset + entry.Length + PageBytes - 1) / PageBytes * PageBytes;
                foreach (Pending pending in _pending)
                    pending.IsDurable |= pending.Entry.End <= entry.Begin && !pending.IsForgotten && pending.Offset >= first && pending.Offset + pending.Length <= end;
                Retire();
                break;
            case TraceKind.Write when entry.IsForced:
                long epoch = _pending.Find(pending => pending.Entry == entry)!.FirstEpoch;
                foreach (Pending pending in _pending) pending.IsDurable |= pending.Entry == entry || (keepsBarriers && pending.LastEpoch < epoch);
                Retire();
                break;
        }
    }

    public override void CollectSlots(List<Slot> slots)
    {
        _atoms.Clear();
        _cuts.Clear();
        var lengths = new LengthSlot(Device, Base.Length);
        foreach (Pending pending in _pending)
        {
            lengths.Add(pending);
            // A cut is whole or not there, with the length: what it takes away is taken when a state is made. Here it matters for what is written after it.
            if (pending.Entry.Kind == TraceKind.SetLength) _cuts.Add(pending.Entry);
            for (long at = pending.Offset / atom * atom; at < pending.Offset + pending.Length; at += atom) AddVersion(slots, at, pending);
        }

        if (lengths.Slot is { } length) slots.Add(length);
    }

    private void AddVersion(List<Slot> slots, long at, Pending pending)
    {
        if (!_atoms.TryGetValue(at, out Slot? slot))
        {
            byte[] durable = new byte[atom];
            Base.Read(at, durable);
            slot = new Slot(Device, at, durable);
            _atoms.Add(at, slot);
            slots.Add(slot);
        }

        byte[] content = slot.Versions[^1].Content.ToArray();
        foreach (TraceEvent cut in _cuts)
        {
            if (cut.Offset < at + atom && cut.Index > (slot.Versions[^1].Cause?.Index ?? -1)) content.AsSpan((int)Math.Max(0, cut.Offset - at)).Clear();
        }

        long from = Math.Max(at, pending.Offset), to = Math.Min(at + atom, pending.Offset + pending.Length);
        Span<byte> changed = content.AsSpan((int)(from - at), (int)(to - from));
        if (pending.Entry.Data.IsEmpty) changed.Clear();
        else pending.Entry.Data.Span.Slice((int)(from - pending.Entry.Offset), changed.Length).CopyTo(changed);
        slot.Add(pending.Entry, content, pending.FirstEpoch, pending.LastEpoch, pending.IsDurable);
    }

    private void Retire()
    {
        int durable = 0;
        while (durable < _pending.Count && _pending[durable].IsDurable)
        {
            Pending pending = _pending[durable++];
            ReadOnlyMemory<byte> data = pending.Entry.Data;
            Persist(pending.Entry, pending.Offset, data.IsEmpty ? default : data.Span.Slice((int)(pending.Offset - pending.Entry.Offset), (int)pending.Length));
        }

        _pending.RemoveRange(0, durable);
    }

    /// <summary>The versions of a file's length.</summary>
    private sealed class LengthSlot(int device, long durable)
    {
        private Pending? _grewLast;

        public Slot? Slot { get; private set; }

        private long Last => Slot is null ? durable : BitConverter.ToInt64(Slot.Versions[^1].Content.Span);

        private long Floor => Slot is null ? durable : BitConverter.ToInt64(Slot.Versions[Slot.Floor].Content.Span);

        public void Add(Pending pending)
        {
            if (pending.LengthAfter != Last)
            {
                Add(pending, pending.LengthAfter, pending.IsDurable);
                _grewLast = pending;
            }
            else if (_grewLast is { } longer && pending.OwnEnd > Floor && (pending.IsDurable || pending.LastEpoch < longer.LastEpoch))
            {
                // A write in flight had made the file longer before; this one, settled earlier than that, guarantees its own end alone.
                Add(pending, pending.OwnEnd, pending.IsDurable);
                if (longer.LengthAfter > pending.OwnEnd) Add(longer, longer.LengthAfter, isDurable: false);
            }
        }

        private void Add(Pending pending, long length, bool isDurable)
        {
            Slot ??= new Slot(device, durable, BitConverter.GetBytes(durable), isLength: true);
            Slot.Add(pending.Entry, BitConverter.GetBytes(length), pending.FirstEpoch, pending.LastEpoch, isDurable);
        }
    }

    private sealed class Pending(TraceEvent entry, long offset, long length, long epoch, long lengthAfter)
    {
        public TraceEvent Entry { get; } = entry;

        public long Offset { get; } = offset;

        public long Length { get; } = length;

        public long FirstEpoch { get; } = epoch;

        public long LastEpoch { get; set; } = epoch;

        /// <summary>The file's length once this and all before it were submitted.</summary>
        public long LengthAfter { get; } = lengthAfter;

        /// <summary>The length that this entry alone makes sure of.</summary>
        public long OwnEnd => Entry.Kind == TraceKind.Write || Entry is { Kind: TraceKind.Zero, Content: ContentClass.Preallocation } ? Offset + Length : 0;

        public bool IsDurable { get; set; }

        public bool IsForgotten { get; set; }
    }
}
