using System.Runtime.InteropServices;

namespace StoragePlugins.PmJournal.Tests.Ring;

/// <summary>
/// Persistent memory that remembers what a power cut could have left at any moment: the model of the research notes, section 1.4.
/// </summary>
/// <remarks>
/// Words of 8 bytes are atomic. Cached stores of one line persist in order, any number of them, at any time. Non-temporal words persist in any subset until
/// the fence. A fence makes sure of non-temporal words and of cached stores whose line was flushed before it. In the msync domain any subset of words
/// persists at any time and only <see cref="Persist"/> makes sure.
/// </remarks>
internal class CrashMemory : IPersistentMemory
{
    private const int Word = 8;
    private const int Line = 64;

    private readonly byte[] _now;
    private readonly byte[] _sure;
    private readonly List<PendingWord> _pending = [];

    public CrashMemory(int length, PersistenceDomain domain)
        : this(new byte[length], domain)
    {
    }

    public CrashMemory(byte[] content, PersistenceDomain domain)
    {
        _now = content;
        _sure = [.. content];
        Domain = domain;
    }

    /// <summary>Called before each fence or persist, when all that was stored since the last one is still open.</summary>
    public Action? BeforeFence { get; set; }

    public long Length => _now.Length;

    public PersistenceDomain Domain { get; }

    public bool IsEmulated => true;

    /// <summary>Stores that may or may not have persisted.</summary>
    public int PendingWords => _pending.Count;

    public int Fences { get; private set; }

    public ReadOnlySpan<byte> View(long offset, int length) => _now.AsSpan((int)offset, length);

    public virtual void Store(long offset, ReadOnlySpan<byte> data) => StoreWords(offset, data, nonTemporal: false);

    public virtual void StoreNonTemporal(long offset, ReadOnlySpan<byte> data)
    {
        int head = (int)Math.Min(-offset & (Line - 1), data.Length);
        int lines = (data.Length - head) / Line * Line;
        StoreCachedAndFlush(offset, data[..head]);
        StoreWords(offset + head, data.Slice(head, lines), nonTemporal: true);
        StoreCachedAndFlush(offset + head + lines, data[(head + lines)..]);
    }

    public void FlushLines(long offset, long length)
    {
        long first = offset / Line, last = (offset + length - 1) / Line;
        Span<PendingWord> pending = CollectionsMarshal.AsSpan(_pending);
        foreach (ref PendingWord word in pending)
        {
            if (word.Offset / Line >= first && word.Offset / Line <= last) word.Flushed = true;
        }
    }

    public virtual void Fence()
    {
        BeforeFence?.Invoke();
        Fences++;
        if (Domain != PersistenceDomain.Msync) Settle(word => word.NonTemporal || word.Flushed);
    }

    public virtual void Persist(long offset, long length)
    {
        if (Domain != PersistenceDomain.Msync)
        {
            FlushLines(offset, length);
            Fence();
            return;
        }

        BeforeFence?.Invoke();
        Fences++;
        // msync works by pages.
        Settle(word => word.Offset / 4096 >= offset / 4096 && word.Offset / 4096 <= (offset + length - 1) / 4096);
    }

    public void ThrowIfLost()
    {
    }

    /// <summary>Everything stored so far is durable: where a test begins.</summary>
    public void SettleAll() => Settle(static _ => true);

    /// <summary>What a power cut at this moment leaves, one of many.</summary>
    public byte[] Crash(Random random)
    {
        // The extremes and the single omissions find most; a coin for each word finds the rest.
        double share = random.Next(4) switch { 0 => 0, 1 => 1, 2 => random.NextDouble(), _ => 0.5 };
        int omitted = random.Next(3) == 0 && _pending.Count > 0 ? random.Next(_pending.Count) : -1;
        return Crash(index => index != omitted && random.NextDouble() < share);
    }

    /// <summary>What a power cut at this moment leaves, if these of the <see cref="PendingWords"/> persisted.</summary>
    public byte[] Crash(Func<int, bool> persisted)
    {
        byte[] left = [.. _sure];
        var cutLines = new HashSet<long>();
        for (int i = 0; i < _pending.Count; i++)
        {
            PendingWord word = _pending[i];
            bool isOrdered = !word.NonTemporal && Domain != PersistenceDomain.Msync;
            // A cached store of a line never persists before an earlier one of that line.
            if (isOrdered && cutLines.Contains(word.Offset / Line)) continue;
            if (persisted(i)) BitConverter.TryWriteBytes(left.AsSpan((int)word.Offset), word.Value);
            else if (isOrdered) cutLines.Add(word.Offset / Line);
        }

        return left;
    }

    private void StoreCachedAndFlush(long offset, ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty) return;
        StoreWords(offset, data, nonTemporal: false);
        FlushLines(offset, data.Length);
    }

    private void StoreWords(long offset, ReadOnlySpan<byte> data, bool nonTemporal)
    {
        if (data.IsEmpty) return;
        data.CopyTo(_now.AsSpan((int)offset));
        for (long word = offset / Word * Word; word < offset + data.Length; word += Word)
            _pending.Add(new PendingWord { Offset = word, Value = BitConverter.ToUInt64(_now, (int)word), NonTemporal = nonTemporal });
    }

    private void Settle(Predicate<PendingWord> isSure)
    {
        // A cached store that is sure makes sure of those before it in its line.
        var sureLines = new HashSet<long>();
        for (int i = _pending.Count - 1; i >= 0; i--)
        {
            if (!_pending[i].NonTemporal && isSure(_pending[i])) sureLines.Add(_pending[i].Offset / Line);
            else if (!_pending[i].NonTemporal && sureLines.Contains(_pending[i].Offset / Line)) _pending[i] = _pending[i] with { Flushed = true };
        }

        foreach (PendingWord word in _pending.Where(word => isSure(word))) BitConverter.TryWriteBytes(_sure.AsSpan((int)word.Offset), word.Value);
        _pending.RemoveAll(isSure);
    }

    private record struct PendingWord
    {
        public long Offset;
        public ulong Value;
        public bool NonTemporal;
        public bool Flushed;
    }
}
