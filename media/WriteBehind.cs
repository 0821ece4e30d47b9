using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Media;

/// <summary>
/// Writes that are flushed at once, past the page cache and without waiting: the data is copied, the device begins, and the flush waits for the rest. What a page
/// cache does for such writes, without pages.
/// </summary>
/// <remarks>
/// <para>Pages for what grows are new to the kernel each time; where a hypervisor hands memory out as it is touched, filling them takes longer than the device does
/// for the write. The memory here is the same all the time.</para>
/// <para>A write is here from <see cref="TryWrite"/> until its completion was taken. Nothing else may be done to its range until then: the medium calls
/// <see cref="WaitFor"/> before it reads or changes a range, and <see cref="Drain"/> before it flushes. An error of the device is for the flush to report, as with
/// the page cache, and stays: whoever flushes once more is told once more.</para>
/// <para>Of a write that is put off (<see cref="SubmissionPlug"/>) the data is copied and no more; whoever waits for it begins with it first.</para>
/// <para>Thread-safe. Bounded: <see cref="Slots"/> writes of <see cref="SlotBytes"/>, from when it is first used.</para>
/// </remarks>
internal sealed unsafe class WriteBehind(DirectWriter direct) : IDelayedStart, IDisposable
{
    /// <summary>A cluster of qcow2.</summary>
    public const int SlotBytes = 64 << 10;

    /// <summary>As much as is begun with early, between two flushes.</summary>
    public const int Slots = KernelAio.MaxBatch;

    private readonly object _changing = new();
    private readonly Slot[] _slots = new Slot[Slots];
    private KernelAio? _kernel;
    private SafeFileHandle? _file;
    private byte* _memory;
    private volatile int _underWay;
    private volatile int _putOff;
    private ulong _begun;
    private bool _isImpossible;
    private bool _isTaking;
    private WriteFailure? _failure;

    /// <summary>Writes under way, those that are put off among them.</summary>
    public int UnderWay => _underWay;

    /// <summary>Begins with a write.</summary>
    /// <param name="offset">A multiple of <see cref="DirectWriter.Alignment"/>.</param>
    /// <param name="data">Of any alignment in memory; its length as the offset's.</param>
    /// <param name="isPutOff">It is begun with by <see cref="Start"/>, or when it is waited for. Nobody hears of a refusal then before the flush.</param>
    /// <returns>False where it cannot be written so: then none of it is under way.</returns>
    public bool TryWrite(long offset, ReadOnlySpan<byte> data, bool isPutOff = false)
    {
        if (_isImpossible || data.IsEmpty || data.Length > Slots * SlotBytes || !DirectWriter.IsAligned(offset, data.Length)) return false;
        lock (_changing)
        {
            if (_failure is not null || !TryPrepare()) return false;
            TakeAllOf(offset, data.Length);
            for (int done = 0; done < data.Length; done += SlotBytes)
            {
                int free = FreeSlot();
                // What the file system refuses (no space, above all), it refuses at once, and the guest is to be told by its write. So that no other thread takes the
                // refusal for a failure, nothing is begun while one waits for completions.
                if (isPutOff || !_isTaking)
                {
                    Fill(free, offset + done, data.Slice(done, Math.Min(SlotBytes, data.Length - done)), isPutOff);
                    if (isPutOff || TryBegin(free)) continue;
                }

                TakeAllOf(offset, data.Length);
                return false;
            }

            return true;
        }
    }

    /// <inheritdoc/>
    public void Start(long offset, int length)
    {
        if (_putOff == 0) return;
        lock (_changing) BeginPutOff();
    }

    /// <summary>Waits until nothing of a range is under way.</summary>
    public void WaitFor(long offset, long length)
    {
        if (_underWay == 0) return;
        lock (_changing) TakeAllOf(offset, length);
    }

    /// <summary>Whether something of a range is under way.</summary>
    public bool IsUnderWay(long offset, long length)
    {
        if (_underWay == 0) return false;
        lock (_changing) return Overlaps(offset, length);
    }

    /// <summary>Waits for every write that had begun.</summary>
    /// <returns>The first one that failed, now or ever.</returns>
    public WriteFailure? Drain()
    {
        if (_underWay == 0) return Volatile.Read(ref _failure);
        lock (_changing)
        {
            // Not for those that begin meanwhile, which somebody else's flush will wait for.
            ulong last = _begun;
            while (IsAnyUpTo(last)) TakeSome();
            return _failure;
        }
    }

    /// <summary>Waits for what is under way; from now on nothing is begun.</summary>
    public void Stop()
    {
        lock (_changing)
        {
            _isImpossible = true;
            while (_underWay > 0) TakeSome();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Stop();
        _kernel?.Dispose();
        NativeMemory.AlignedFree(_memory);
        _memory = null;
    }

    // All below under the lock.

    private bool TryPrepare()
    {
        if (_isImpossible || direct.Descriptor is not { } opened) return false;
        if (_kernel is not null) return true;
        _kernel = KernelAio.TryCreate(Slots);
        _isImpossible = _kernel is null;
        if (_isImpossible) return false;
        _file = opened;
        _memory = (byte*)NativeMemory.AlignedAlloc(Slots * SlotBytes, DirectWriter.Alignment);
        return true;
    }

    private int FreeSlot()
    {
        int free;
        while ((free = Array.FindIndex(_slots, static s => s.Length == 0)) < 0) TakeSome();
        return free;
    }

    private void Fill(int slot, long offset, ReadOnlySpan<byte> data, bool isPutOff)
    {
        data.CopyTo(new Span<byte>(Buffer(slot), SlotBytes));
        _slots[slot] = new Slot(offset, data.Length, ++_begun, isPutOff);
        _underWay++;
        if (isPutOff) _putOff++;
    }

    // False where the file system refuses it: then it is not under way.
    private bool TryBegin(int slot)
    {
        if (_kernel!.Submit(_file!, [WriteOf(slot)], out _) == 0)
        {
            Free(slot);
            return false;
        }

        bool wasRefused = false;
        Span<KernelAio.Completion> completions = stackalloc KernelAio.Completion[Slots];
        foreach (KernelAio.Completion completion in completions[.._kernel.Take(completions, wait: false, out _)])
        {
            if (completion.Tag != slot || completion.Result == _slots[slot].Length) End(completion.Tag, completion.Result);
            else
            {
                Free(slot);
                wasRefused = true;
            }
        }

        return !wasRefused;
    }

    private void BeginPutOff()
    {
        if (_putOff == 0) return;
        Span<KernelAio.Write> writes = stackalloc KernelAio.Write[Slots];
        int count = 0;
        for (int i = 0; i < Slots; i++)
        {
            if (!_slots[i].IsPutOff) continue;
            _slots[i] = _slots[i] with { IsPutOff = false };
            writes[count++] = WriteOf(i);
        }

        _putOff = 0;
        int begun = _kernel!.Submit(_file!, writes[..count], out int error);
        foreach (KernelAio.Write refused in writes[begun..count]) End(refused.Tag, -error);
    }

    private KernelAio.Write WriteOf(int slot) => new((nint)Buffer(slot), _slots[slot].Length, _slots[slot].Offset, slot);

    private byte* Buffer(int slot) => _memory + (slot * SlotBytes);

    private bool Overlaps(long offset, long length)
    {
        foreach (Slot slot in _slots)
        {
            if (slot.Length > 0 && slot.Offset < offset + length && offset < slot.Offset + slot.Length) return true;
        }

        return false;
    }

    private void TakeAllOf(long offset, long length)
    {
        while (Overlaps(offset, length)) TakeSome();
    }

    private bool IsAnyUpTo(ulong last)
    {
        foreach (Slot slot in _slots)
        {
            if (slot.Length > 0 && slot.Number <= last) return true;
        }

        return false;
    }

    // Takes what has completed, and waits for one at least; one thread does, the others wait for it. The lock is given away meanwhile.
    private void TakeSome()
    {
        BeginPutOff();
        if (_isTaking)
        {
            Monitor.Wait(_changing);
            return;
        }

        Span<KernelAio.Completion> completions = stackalloc KernelAio.Completion[Slots];
        int taken, error;
        _isTaking = true;
        Monitor.Exit(_changing);
        try
        {
            taken = _kernel!.Take(completions, wait: true, out error);
        }
        finally
        {
            Monitor.Enter(_changing);
            _isTaking = false;
            Monitor.PulseAll(_changing);
        }

        foreach (KernelAio.Completion completion in completions[..taken]) End(completion.Tag, completion.Result);
        if (error != 0) EndAll(error);
    }

    private void End(int slot, long result)
    {
        Slot ended = _slots[slot];
        if (result != ended.Length) _failure ??= new WriteFailure(ended.Offset, ended.Length, result < 0 ? (int)-result : 0);
        Free(slot);
    }

    private void Free(int slot)
    {
        if (_slots[slot].IsPutOff) _putOff--;
        _slots[slot] = default;
        _underWay--;
    }

    // The kernel does not say what became of them.
    private void EndAll(int error)
    {
        _isImpossible = true;
        for (int i = 0; i < Slots; i++)
        {
            if (_slots[i].Length > 0) End(i, -error);
        }
    }

    /// <param name="Offset">In the file.</param>
    /// <param name="Length">0: it is free.</param>
    /// <param name="Number">The first write is 1.</param>
    /// <param name="IsPutOff">The kernel does not know of it yet.</param>
    private readonly record struct Slot(long Offset, int Length, ulong Number, bool IsPutOff);
}

/// <summary>A write that was begun and failed.</summary>
/// <param name="Offset">In the file.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Error">The errno; 0 when less was written than asked for.</param>
internal sealed record WriteFailure(long Offset, int Length, int Error);
