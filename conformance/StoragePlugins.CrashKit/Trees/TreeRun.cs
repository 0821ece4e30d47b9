using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.CrashKit.Workloads;

namespace StoragePlugins.CrashKit.Trees;

/// <summary>An operation that was done, and what the tree showed when it had returned.</summary>
/// <param name="Number">From 0.</param>
/// <param name="Operation">What.</param>
/// <param name="Span">On the trace's clock.</param>
internal sealed record TreeStep(int Number, TreeOperation Operation, Interval Span)
{
    public FileError Error { get; set; }

    /// <summary>What was shown afterwards, time stamps included.</summary>
    public TreeView? After { get; set; }

    /// <summary>The bytes that it may leave half done.</summary>
    public HalfDone? Half { get; set; }
}

/// <summary>A workload that was done to a tree, with everything that was recorded.</summary>
internal sealed class TreeRun
{
    /// <summary>The smallest image: what a state costs grows with it.</summary>
    public const long ImageBytes = 1 << 20;

    private readonly TestedPipeline _pipeline;
    private readonly Machine _machine;
    private OpenedSubject? _opened;
    private IFileTree? _tree;
    private TreeDriver? _driver;
    private ModelTree? _model;
    private TreeDriver? _modelDriver;

    private TreeRun(TestedPipeline pipeline, Machine machine, TreeView initial)
    {
        (_pipeline, _machine, Initial) = (pipeline, machine, initial);
        Start = machine.Copy();
    }

    public Machine Start { get; }

    public Trace Trace { get; } = new();

    /// <summary>What the tree showed before the first operation.</summary>
    public TreeView Initial { get; private set; }

    public List<TreeStep> Steps { get; } = [];

    /// <summary>Power cuts are tried from here on.</summary>
    public long FirstTick { get; private set; }

    /// <summary>What the running tree did wrong; the trace ends there.</summary>
    public InvariantBrokenException? Problem { get; private set; }

    /// <summary>Does a workload to a new tree, and holds each step against <see cref="ModelTree"/>.</summary>
    public static TreeRun Execute(TestedPipeline pipeline, TreeWorkload workload, PersistenceDomain domain)
    {
        Machine machine = pipeline.Create(ImageBytes, PersistenceModel.Pm, domain);
        var model = new ModelTree();
        return new TreeRun(pipeline, machine, TreeReader.Read(model)) { _model = model, _modelDriver = new TreeDriver(model) }.Guarded(workload);
    }

    /// <summary>Does a workload to a tree that is there.</summary>
    /// <param name="pipeline">The subject.</param>
    /// <param name="workload">What to do.</param>
    /// <param name="machine">Holds the image; is changed.</param>
    /// <param name="initial">What it shows.</param>
    public static TreeRun Execute(TestedPipeline pipeline, TreeWorkload workload, Machine machine, TreeView initial) => new TreeRun(pipeline, machine, initial).Guarded(workload);

    /// <summary>What was shown when so many operations had returned.</summary>
    public TreeView After(int operations) => operations == 0 ? Initial : Steps[operations - 1].After!;

    /// <summary>How many operations had returned at a tick, and the one that was under way.</summary>
    public (int Returned, TreeStep? UnderWay) At(long tick)
    {
        int returned = Steps.FindLastIndex(step => step.Span.End <= tick) + 1;
        TreeStep? next = returned < Steps.Count && Steps[returned].Span.Begin <= tick ? Steps[returned] : null;
        return (returned, next);
    }

    private TreeRun Guarded(TreeWorkload workload)
    {
        using var second = new SecondThread();
        try
        {
            Perform(workload, second);
        }
        catch (InvariantBrokenException broken)
        {
            Problem = broken;
        }
        catch (Exception e)
        {
            Problem = new InvariantBrokenException(Invariant.I1Opens, $"while running, {e.GetType().Name}: {e.Message}", e);
        }
        finally
        {
            _opened?.Dispose();
            Start.AddDevicesOf(_machine);
        }

        return this;
    }

    private void Perform(TreeWorkload workload, SecondThread second)
    {
        Open();
        TreeView first = TreeReader.Read(_tree!);
        if (TreeView.Difference(first, Initial, withTimes: _model is null) is { } wrong) throw new InvariantBrokenException(Invariant.I5OldOrNew, $"a tree that was just opened: {wrong}");
        Initial = first;
        foreach (TreeOperation operation in workload.Operations)
        {
            if (workload.QuietOperations > 0 && Steps.Count <= workload.QuietOperations) FirstTick = Trace.Now;
            var step = new TreeStep(Steps.Count, operation, new Interval(Trace.Tick()));
            Steps.Add(step);
            if (operation.OnOtherThread) second.Do(() => Do(step));
            else Do(step);
            step.Span.End = Trace.Tick();
            step.After = TreeReader.Read(_tree!);
            if (operation.ChangesRange && step.Error == FileError.None) step.Half = HalfOf(step);
            if (_model is not null) Compare(step);
        }

        var closing = new TreeStep(Steps.Count, new TreeOperation(TreeAction.Reopen), new Interval(Trace.Tick())) { After = After(Steps.Count) };
        Steps.Add(closing);
        _driver!.Do(new TreeOperation(TreeAction.ReleaseAll), 0);
        _opened!.Image.Close();
        closing.Span.End = Trace.Tick();
    }

    private void Open()
    {
        _opened = _pipeline.Open(_machine, trace: Trace);
        _tree = _opened.Image.GetCapability<IFileTree>() ?? throw new InvariantBrokenException(Invariant.I1Opens, "the image offers no tree of files");
        _driver = new TreeDriver(_tree);
    }

    private void Do(TreeStep step)
    {
        if (step.Operation.Action is not (TreeAction.Reopen or TreeAction.Abandon))
        {
            step.Error = _driver!.Do(step.Operation, step.Number);
            return;
        }

        if (step.Operation.Action == TreeAction.Reopen)
        {
            _driver!.Do(new TreeOperation(TreeAction.ReleaseAll), 0);
            _opened!.Image.Close();
        }

        _opened!.Dispose();
        _opened = null;
        Open();
        _modelDriver?.Do(new TreeOperation(TreeAction.ReleaseAll), 0);
    }

    // Held against the model: whether it was done, and what there is now.
    private void Compare(TreeStep step)
    {
        if (step.Operation.Action is not (TreeAction.Reopen or TreeAction.Abandon) && step.Error is not (FileError.NoSpace or FileError.TooManyLinks))
        {
            FileError expected = _modelDriver!.Do(step.Operation, step.Number);
            if ((expected == FileError.None) != (step.Error == FileError.None)) throw Wrong(step, $"it answers {step.Error}, and {expected} is right");
        }

        if (TreeView.Difference(step.After!, TreeReader.Read(_model!), withTimes: false) is { } difference) throw Wrong(step, difference);
        for (int i = 0; i < _driver!.Held.Count; i++)
        {
            NodeView held = TreeReader.ReadNode(_tree!, "held", _driver.Held[i]), right = TreeReader.ReadNode(_model!, "held", _modelDriver!.Held[i]);
            if (held.Difference(right, withTimes: false, null) is { } wrong) throw Wrong(step, $"what is held: {wrong}");
        }
    }

    private HalfDone? HalfOf(TreeStep step)
    {
        TreeView before = After(step.Number);
        string? path = step.Operation.Action == TreeAction.WriteHeld ? PathOfHeld(step.After!) : step.Operation.Path;
        if (path is null || !step.After!.Paths.TryGetValue(path, out NodeView? file) || !before.Paths.TryGetValue(path, out NodeView? old)) return null;
        long offset = step.Operation.Action == TreeAction.Append ? old.Attributes.Size : step.Operation.Offset;
        return new HalfDone(path, offset, step.Operation.Length, file.Content);
    }

    private string? PathOfHeld(TreeView view) => view.Paths.FirstOrDefault(pair => pair.Value.Attributes.Node == _driver!.Held[0]).Key;

    private static InvariantBrokenException Wrong(TreeStep step, string what) =>
        new(Invariant.I5OldOrNew, $"after operation {step.Number} ({step.Operation}), with no crash: {what}");

    /// <summary>A second thread of a program, on which operations are done in turn with the first: it has a place of its own in the journal.</summary>
    private sealed class SecondThread : IDisposable
    {
        private readonly System.Collections.Concurrent.BlockingCollection<Action> _work = [];
        private readonly Thread _thread;

        public SecondThread()
        {
            _thread = new Thread(() =>
            {
                foreach (Action action in _work.GetConsumingEnumerable()) action();
            })
            { IsBackground = true, Name = "second thread of a workload" };
            _thread.Start();
        }

        public void Do(Action action)
        {
            var done = new TaskCompletionSource();
            _work.Add(() =>
            {
                try
                {
                    action();
                    done.SetResult();
                }
                catch (Exception problem)
                {
                    done.SetException(problem);
                }
            });
            done.Task.GetAwaiter().GetResult();
        }

        public void Dispose()
        {
            _work.CompleteAdding();
            _thread.Join();
            _work.Dispose();
        }
    }
}
