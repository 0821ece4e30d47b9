using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Models;

/// <summary>
/// Mapped persistent memory. Eight aligned bytes are atomic. Of a cache line with cached stores any prefix of them may be there, in program order;
/// of stores past the cache any subset of words, until a fence of the same thread. With batteries on the caches (eADR) a cached store that
/// retired is durable, and what remains is the order.
/// </summary>
/// <remarks>Source: Intel's persistent-memory model as Vinter (ATC '22) and Jaaru (ASPLOS '21) have it: research notes §1.4.</remarks>
internal sealed class MemoryModel(int device, DeviceImage image, bool cachesSurvive) : DeviceModel(device, image)
{
    private const int LineBytes = 64;
    private const int WordBytes = 8;

    private readonly SortedDictionary<long, List<WordStore>> _lines = [];
    private long _order;

    public override void Begin(TraceEvent entry)
    {
        switch (entry.Kind)
        {
            case TraceKind.Store or TraceKind.StoreNonTemporal:
                Split(entry);
                break;
            case TraceKind.FlushLines:
                for (long line = entry.Offset / LineBytes * LineBytes; line < entry.Offset + entry.Length; line += LineBytes)
                {
                    if (!_lines.TryGetValue(line, out List<WordStore>? stores)) continue;
                    // A flush pushes out what any thread stored in the line; the fence of the thread that flushed waits for it.
                    foreach (WordStore store in stores) if (!store.IsNonTemporal) store.FlushedBy.Add(entry.Thread);
                }

                break;
            case TraceKind.SetLength or TraceKind.Write or TraceKind.Zero:
                // Before it is mapped the medium is prepared as a file; the kit counts that as done, for regions are made durable before they are used.
                Persist(entry, entry.Offset, entry.Data.Span);
                break;
        }
    }

    public override void End(TraceEvent entry)
    {
        if (entry.Kind != TraceKind.Fence || entry.HasFailed) return;
        // With batteries on the caches a fence waits for nothing but the thread's stores to be seen: then they are durable.
        MakeDurable(store => store.Entry.Begin < entry.Begin && (store.IsNonTemporal || cachesSurvive ? store.Entry.Thread == entry.Thread : store.FlushedBy.Contains(entry.Thread)));
    }

    public override void CollectSlots(List<Slot> slots)
    {
        foreach ((long line, List<WordStore> stores) in _lines)
        {
            if (cachesSurvive || stores.Exists(store => store.IsNonTemporal)) CollectWords(slots, stores);
            else CollectLine(slots, line, stores);
        }
    }

    private static void Apply(Span<byte> bytes, long at, WordStore store) =>
        store.Data.Span.CopyTo(bytes[(int)(store.Offset - at)..]);

    private void CollectLine(List<Slot> slots, long line, List<WordStore> stores)
    {
        byte[] content = new byte[LineBytes];
        Base.Read(line, content);
        var slot = new Slot(Device, line, content.ToArray());
        foreach (WordStore store in stores)
        {
            Apply(content, line, store);
            slot.Add(store.Entry, content.ToArray(), store.FirstEpoch, store.LastEpoch, store.IsDurable);
        }

        slots.Add(slot);
    }

    private void CollectWords(List<Slot> slots, List<WordStore> stores)
    {
        var words = new Dictionary<long, Slot>();
        foreach (WordStore store in stores)
        {
            long at = store.Offset / WordBytes * WordBytes;
            if (!words.TryGetValue(at, out Slot? slot))
            {
                byte[] durable = new byte[WordBytes];
                Base.Read(at, durable);
                words.Add(at, slot = new Slot(Device, at, durable));
                slots.Add(slot);
            }

            byte[] content = slot.Versions[^1].Content.ToArray();
            Apply(content, at, store);
            slot.Add(store.Entry, content, store.FirstEpoch, store.LastEpoch, store.IsDurable);
        }
    }

    private void Split(TraceEvent entry)
    {
        bool isNonTemporal = entry.Kind == TraceKind.StoreNonTemporal;
        if (cachesSurvive && !isNonTemporal) SettleCached();
        for (long at = entry.Offset, end = entry.Offset + entry.Length; at < end;)
        {
            long next = Math.Min(end, ((at / WordBytes) + 1) * WordBytes);
            var store = new WordStore(entry, at, entry.Data.Slice((int)(at - entry.Offset), (int)(next - at)), isNonTemporal);
            if (cachesSurvive && !isNonTemporal) store.FirstEpoch = store.LastEpoch = ++_order;
            else (store.FirstEpoch, store.LastEpoch) = (long.MinValue, long.MaxValue);
            long line = at / LineBytes * LineBytes;
            if (!_lines.TryGetValue(line, out List<WordStore>? stores)) _lines.Add(line, stores = []);
            stores.Add(store);
            at = next;
        }
    }

    // With batteries on the caches a store is durable once the next one can be seen.
    private void SettleCached() => MakeDurable(static store => !store.IsNonTemporal);

    private void MakeDurable(Predicate<WordStore> isDurable)
    {
        List<long>? empty = null;
        foreach ((long line, List<WordStore> stores) in _lines)
        {
            foreach (WordStore store in stores) store.IsDurable |= isDurable(store);
            Retire(stores);
            if (stores.Count == 0) (empty ??= []).Add(line);
        }

        foreach (long line in empty ?? []) _lines.Remove(line);
    }

    private void Retire(List<WordStore> stores)
    {
        int durable = 0;
        while (durable < stores.Count && stores[durable].IsDurable)
        {
            Persist(stores[durable].Entry, stores[durable].Offset, stores[durable].Data.Span);
            durable++;
        }

        stores.RemoveRange(0, durable);
    }

    private sealed class WordStore(TraceEvent entry, long offset, ReadOnlyMemory<byte> data, bool isNonTemporal)
    {
        public TraceEvent Entry { get; } = entry;

        public long Offset { get; } = offset;

        public ReadOnlyMemory<byte> Data { get; } = data;

        public bool IsNonTemporal { get; } = isNonTemporal;

        /// <summary>Threads whose next fence waits for it.</summary>
        public HashSet<int> FlushedBy { get; } = [];

        public long FirstEpoch { get; set; }

        public long LastEpoch { get; set; }

        public bool IsDurable { get; set; }
    }
}
