using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Faults;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Subjects;

namespace StoragePlugins.CrashKit.Workloads;

/// <summary>A workload that was run on a pipeline, with everything that was recorded.</summary>
internal sealed class WorkloadRun
{
    private readonly TestedPipeline _pipeline;
    private readonly Machine _machine;
    private readonly StrikingFault? _fault;
    private bool _hadStruckBefore;
    private OpenedSubject? _opened;
    private IVirtualDisk? _disk;

    private WorkloadRun(TestedPipeline pipeline, Machine machine, byte[] initial, DeviceFault? fault)
    {
        _pipeline = pipeline;
        _machine = machine;
        Start = machine.Copy();
        Trace = new Trace();
        History = new GuestHistory(initial, (ulong)HashCode.Combine(pipeline.Name, pipeline.Variant));
        if (fault is not null) _fault = new StrikingFault(fault);
    }

    private WorkloadRun(TestedPipeline pipeline, Machine start, Trace trace, GuestHistory history)
    {
        _pipeline = pipeline;
        _machine = start;
        (Start, Trace, History) = (start, trace, history);
    }

    public Machine Start { get; }

    public Trace Trace { get; }

    public GuestHistory History { get; }

    /// <summary>Power cuts are tried from here on.</summary>
    public long FirstTick { get; private set; }

    /// <summary>Whether the journal promises whole transactions.</summary>
    public bool IsAtomic { get; private set; }

    /// <summary>The workload's fault happened.</summary>
    public bool FaultHasStruck => _fault is { HasStruck: true };

    /// <summary>The running system reported it: to the guest, or to who opened or closed the image.</summary>
    public bool FaultWasTold { get; private set; }

    /// <summary>
    /// Only a process that was killed before it could tell saw a sync fail. The kernel reports such a failure once; whoever opens the file next reads pages that count as
    /// clean and never persisted, and cannot know it.
    /// </summary>
    public bool FaultDiedUntold { get; private set; }

    /// <summary>What the running system itself did wrong; the trace ends there.</summary>
    public InvariantBrokenException? Problem { get; private set; }

    /// <summary>Runs a workload on a new image.</summary>
    public static WorkloadRun Execute(TestedPipeline pipeline, Workload workload, PersistenceModel model, PersistenceDomain domain = PersistenceDomain.Adr)
    {
        Machine machine = pipeline.Create(workload.DiskBytes, model, domain);
        return Execute(pipeline, workload, machine, new byte[workload.DiskBytes], []);
    }

    /// <summary>Runs a workload on an image that is there.</summary>
    /// <param name="pipeline">The subject.</param>
    /// <param name="workload">What to do.</param>
    /// <param name="machine">Holds the image; is changed.</param>
    /// <param name="initial">What its disk shows.</param>
    /// <param name="snapshots">What snapshots it has.</param>
    public static WorkloadRun Execute(TestedPipeline pipeline, Workload workload, Machine machine, byte[] initial, IEnumerable<SnapshotLife> snapshots)
    {
        var run = new WorkloadRun(pipeline, machine, initial, workload.Fault);
        run.History.Snapshots.AddRange(snapshots);
        try
        {
            run.Perform(workload);
        }
        catch (InvariantBrokenException broken)
        {
            run.Problem = broken;
        }
        catch (Exception e)
        {
            run.Problem = new InvariantBrokenException(Invariant.I1Opens, $"while running, {e.GetType().Name}: {e.Message}", e);
        }
        finally
        {
            run._opened?.Dispose();
            run.Start.AddDevicesOf(machine);
        }

        return run;
    }

    /// <summary>A run that was recorded before.</summary>
    public static WorkloadRun Restore(TestedPipeline pipeline, Machine start, Trace trace, GuestHistory history) => new(pipeline, start, trace, history);

    private void Perform(Workload workload)
    {
        try
        {
            Open();
            int number = 0;
            foreach (IReadOnlyList<GuestOperation> step in workload.Steps)
            {
                if (workload.QuietSteps > 0 && History.Operations.Count <= workload.QuietSteps) FirstTick = Trace.Now;
                OperationRecord[] records = [.. step.Select(operation => Record(++number, operation))];
                if (records.Length == 1) Do(records[0]);
                else Parallel.ForEach(records, new ParallelOptions { MaxDegreeOfParallelism = records.Length }, Do);
            }

            CompareLive("at the end");
            Flush(_opened!.Image.Close);
        }
        catch (Exception e) when (_fault is { HasStruck: true } && FailureOf(e) is { } failure)
        {
            FaultWasTold = true;
            foreach (OperationRecord record in History.Operations) if (record.Span.End == long.MaxValue) record.Outcome ??= $"failed: {failure.Message}";
            // A write that failed may be tried again; a sync never.
            if (_fault.IsFinal || failure is DurabilityLostException) ProveFinal();
        }
    }

    private static Exception? FailureOf(Exception e) => e switch
    {
        AggregateException all => all.InnerExceptions.Select(FailureOf).FirstOrDefault(failure => failure is not null),
        StorageException or DiagnosticException => e,
        _ => null,
    };

    // I13: what failed once is never acknowledged later.
    private void ProveFinal()
    {
        // It failed while the image was being opened: there is no guest to lie to.
        if (_opened is null) return;
        OperationRecord flush = Record(0, new GuestOperation(GuestAction.Flush));
        try
        {
            _disk!.Flush();
            throw new InvariantBrokenException(Invariant.I13FailuresAreTold, "durability was lost, and a later flush of the guest was acknowledged");
        }
        catch (StorageException e)
        {
            flush.Outcome = $"refused, as it must: {e.Message}";
        }

        try
        {
            _opened!.Image.Close();
            throw new InvariantBrokenException(Invariant.I13FailuresAreTold, "durability was lost, and the image was closed as if nothing had happened");
        }
        catch (StorageException)
        {
        }
    }

    private OperationRecord Record(int number, GuestOperation operation)
    {
        var record = new OperationRecord(number, operation, new Interval(Trace.Tick()));
        lock (History.Operations) History.Operations.Add(record);
        return record;
    }

    private void Open()
    {
        _hadStruckBefore = FaultHasStruck;
        FaultDiedUntold |= _fault is { IsFinal: true, HasStruck: true } && !FaultWasTold;
        _opened = _pipeline.Open(_machine, trace: Trace, faults: _fault);
        _disk = _opened.Image.OpenDisk("");
        IsAtomic = _opened.IsAtomic;
    }

    private void Do(OperationRecord record)
    {
        GuestOperation operation = record.Operation;
        if (operation.ChangesRange)
        {
            if (!TryChange(record, operation with { Length = Math.Min(operation.Length, _disk!.Length - operation.Offset) })) return;
        }
        else if (operation.Action is GuestAction.Flush)
        {
            if (!TryFlush(record)) return;
        }
        else if (operation.Action is GuestAction.Barrier) Barrier();
        else if (operation.Action is GuestAction.Reopen) Reopen();
        else if (operation.Action is GuestAction.Abandon) Abandon();
        else if (operation.Action is GuestAction.Resize) Resize(record);
        else Snapshot(record);
        record.Span.End = Trace.Tick();
        if (operation.Action is GuestAction.ForcedWrite or GuestAction.Resize or GuestAction.ApplySnapshot or GuestAction.CreateSnapshot or GuestAction.DeleteSnapshot) History.Owe(record.Span.End);
    }

    // What failed for want of a write promises nothing: each sector shows its old or its new value from then on, and the guest goes on.
    private bool TryChange(OperationRecord record, GuestOperation operation)
    {
        if (operation.Length <= 0)
        {
            record.Outcome = "skipped: beyond the end";
            return true;
        }

        byte[] before = _fault is null ? [] : History.Now.Slice((int)operation.Offset, (int)operation.Length).ToArray();
        try
        {
            Change(record, operation);
            return true;
        }
        catch (StorageException failure) when (failure is not DurabilityLostException && _fault is { HasStruck: true, IsFinal: false })
        {
            record.Outcome = $"failed: {failure.Message}";
            FaultWasTold = true;
            byte[] shown = new byte[operation.Length];
            _disk!.Read(operation.Offset, shown);
            CompareFailed(operation, before, shown);
            History.Settle(record, operation.Offset, shown);
            return false;
        }
    }

    private bool TryFlush(OperationRecord record)
    {
        try
        {
            Flush(_disk!.Flush);
            return true;
        }
        catch (StorageException failure) when (failure is not DurabilityLostException && _fault is { HasStruck: true, IsFinal: false })
        {
            record.Outcome = $"failed: {failure.Message}";
            FaultWasTold = true;
            return false;
        }
    }

    private void CompareFailed(GuestOperation operation, ReadOnlySpan<byte> before, ReadOnlySpan<byte> shown)
    {
        for (int at = 0; at < shown.Length;)
        {
            long place = operation.Offset + at;
            int part = (int)Math.Min(shown.Length - at, GuestHistory.SectorBytes - (place % GuestHistory.SectorBytes));
            ReadOnlySpan<byte> found = shown.Slice(at, part);
            if (!found.SequenceEqual(before.Slice(at, part)) && !found.SequenceEqual(History.Now.Slice((int)place, part)))
                throw new InvariantBrokenException(Invariant.I5OldOrNew, $"after a write that failed, {part} bytes at {place} are neither as before it nor as written");
            at += part;
        }
    }

    private void Change(OperationRecord record, GuestOperation operation)
    {
        byte[] bytes = new byte[operation.Length];
        bool isWrite = operation.Action is GuestAction.Write or GuestAction.ForcedWrite;
        if (isWrite) Stamp.Fill(bytes, operation.Offset, record.Number);
        History.Begin(record, operation.Offset, bytes, operation.Action == GuestAction.ForcedWrite);
        switch (operation.Action)
        {
            case GuestAction.Write:
                _disk!.Write(operation.Offset, bytes);
                break;
            case GuestAction.ForcedWrite:
                _disk!.Write(operation.Offset, bytes, WriteFlags.ForceUnitAccess);
                break;
            case GuestAction.Discard:
                _disk!.GetCapability<IDiscardDisk>()?.Discard(operation.Offset, operation.Length);
                _disk.Read(operation.Offset, bytes);
                History.Settle(record, operation.Offset, bytes);
                break;
            default:
                if (_disk!.GetCapability<IZeroingDisk>() is { } zeroing) zeroing.WriteZeroes(operation.Offset, operation.Length, operation.Action == GuestAction.ZeroAndUnmap);
                else _disk.Write(operation.Offset, bytes);
                break;
        }
    }

    private void Flush(Action flush)
    {
        long begin = Trace.Tick();
        bool wasLost = _fault is { IsFinal: true, HasStruck: true } && !_hadStruckBefore;
        flush();
        if (wasLost) throw new InvariantBrokenException(Invariant.I13FailuresAreTold, "a sync of the device failed, and a later flush of the guest was acknowledged");
        History.Flushed(begin, Trace.Tick());
    }

    private void Barrier()
    {
        if (_disk!.GetCapability<IBarrierDisk>() is not { } ordered) return;
        long begin = Trace.Tick();
        ordered.Barrier();
        History.Ordered(begin, Trace.Tick());
    }

    private void Reopen()
    {
        Flush(_opened!.Image.Close);
        _opened.Dispose();
        _opened = null;
        Open();
        CompareLive("after a clean close");
    }

    private void Abandon()
    {
        _opened!.Dispose();
        _opened = null;
        Open();
        // What was in the process is lost as by a power cut; what the disk shows now is what is there from now on.
        byte[] shown = new byte[_disk!.Length];
        _disk.Read(0, shown);
        long tick = Trace.Tick();
        if (!History.MayHaveLength(shown.Length, tick)) throw new InvariantBrokenException(Invariant.I4Durable, $"after the process was killed the disk has {shown.Length} bytes");
        History.Judge(shown, tick);
        var settled = new OperationRecord(-1, new GuestOperation(GuestAction.Abandon), new Interval(tick) { End = Trace.Tick() });
        History.SettleAll(settled, shown);
    }

    private void Resize(OperationRecord record)
    {
        if (_disk!.GetCapability<IResizableDisk>() is not { } resizable) return;
        byte[] before = History.Now.ToArray();
        Interval span = History.Resizing(record, record.Operation.Offset);
        try
        {
            resizable.Resize(record.Operation.Offset);
            span.End = Trace.Tick();
        }
        catch (DiagnosticException refused)
        {
            record.Outcome = $"refused: {refused.Message}";
            History.NeverResized(span);
            History.SettleAll(record, before);
        }
    }

    private void Snapshot(OperationRecord record)
    {
        string name = record.Operation.Name;
        SnapshotLife? life = History.Snapshots.Find(s => s.Name == name && s.Deleted is null);
        bool isCreation = record.Operation.Action == GuestAction.CreateSnapshot;
        if (_opened!.Image.GetCapability<ISnapshotImage>() is not { } snapshots || isCreation == (life is not null))
        {
            record.Outcome = "skipped";
            return;
        }

        byte[] before = History.Now.ToArray();
        try
        {
            switch (record.Operation.Action)
            {
                case GuestAction.CreateSnapshot:
                    History.Snapshots.Add(life = new SnapshotLife(name, record.Span, before));
                    snapshots.CreateSnapshot(name);
                    break;
                case GuestAction.DeleteSnapshot:
                    life!.Deleted = record.Span;
                    snapshots.DeleteSnapshot(name);
                    break;
                default:
                    Apply(snapshots, record, life!);
                    break;
            }
        }
        catch (DiagnosticException refused)
        {
            // Refused means that nothing changed; a crash on the way must not show it either.
            record.Outcome = $"refused: {refused.Message}";
            if (isCreation) History.Snapshots.Remove(life!);
            else life!.Deleted = null;
            History.SettleAll(record, before);
        }
    }

    private void Apply(ISnapshotImage snapshots, OperationRecord record, SnapshotLife life)
    {
        Interval? length = life.Content.Length == History.Length ? null : History.Resizing(record, life.Content.Length);
        History.Begin(record, 0, life.Content, isForced: true);
        try
        {
            snapshots.ApplySnapshot(life.Name);
            if (length is not null) length.End = Trace.Tick();
        }
        catch (DiagnosticException) when (length is not null)
        {
            History.NeverResized(length);
            throw;
        }
    }

    private void CompareLive(string when)
    {
        if (_disk!.Length != History.Length) throw new InvariantBrokenException(Invariant.I5OldOrNew, $"{when} the disk has {_disk.Length} bytes, not {History.Length}");
        byte[] shown = new byte[_disk.Length];
        _disk.Read(0, shown);
        int differs = shown.AsSpan().CommonPrefixLength(History.Now);
        if (differs < shown.Length)
        {
            long s = differs / GuestHistory.SectorBytes;
            ReadOnlySpan<byte> sector = shown.AsSpan((int)(s * 512))[..(int)Math.Min(512, shown.Length - (s * 512))];
            throw new InvariantBrokenException(Invariant.I5OldOrNew, $"{when} sector {s} shows {Stamp.Describe(sector, s)}, not what was written last (no crash)");
        }
    }
}
