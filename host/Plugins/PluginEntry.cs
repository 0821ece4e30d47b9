using StoragePlugins.Host.Diagnostics;

namespace StoragePlugins.Host.Plugins;

/// <summary>How far a plugin has come.</summary>
internal enum PluginState
{
    /// <summary>Its metadata is in order; its code is not loaded yet.</summary>
    Discovered = 0,

    /// <summary>It cannot be used here; none of its code ran.</summary>
    Rejected,

    /// <summary>Its place is taken by a higher version or an identical copy.</summary>
    Superseded,

    /// <summary>Its code is in the process.</summary>
    Loaded,

    /// <summary>Loading it, or constructing one of its strategies, failed.</summary>
    Faulted,
}

/// <summary>A plugin of the catalog. Thread-safe; its code is loaded at the first need.</summary>
internal sealed class PluginEntry : IDisposable
{
    private readonly Lock _gate = new();
    private readonly PluginProbeResult _probe;
    private readonly List<Diagnostic> _findings;
    private readonly bool _isUnloadable;
    private readonly ShadowFolder? _shadow;
    private LoadedPlugin? _loaded;
    private DiagnosticException? _failure;

    internal PluginEntry(PluginProbeResult probe, PluginDirectory directory, bool isUnloadable, ShadowFolder? shadow = null)
    {
        (_probe, _shadow) = (probe, shadow);
        Path = probe.Path;
        Manifest = probe.Manifest;
        Directory = directory;
        _findings = [.. probe.Findings];
        _isUnloadable = isUnloadable;
        State = probe.Rejection is null && probe.Manifest is not null ? PluginState.Discovered : PluginState.Rejected;
    }

    /// <summary>The folder, or the DLL when it lies alone or nothing more is known.</summary>
    public string Path { get; }

    /// <summary>The search directory that it was found in.</summary>
    public PluginDirectory Directory { get; }

    /// <summary>What its metadata says; null when there is none. May be there for a rejected plugin too.</summary>
    public PluginManifest? Manifest { get; }

    /// <summary>How far it has come.</summary>
    public PluginState State { get; private set; }

    /// <summary>Whether its strategies can be asked for.</summary>
    public bool IsUsable => State is PluginState.Discovered or PluginState.Loaded or PluginState.Faulted;

    /// <summary>Whether its strategies can be asked for by version: also when another version is what the plain id means.</summary>
    public bool IsUsableByVersion => IsUsable || State == PluginState.Superseded;

    /// <summary>Its name, or its file's when it has none.</summary>
    public string Name => Manifest is { Name.Length: > 0 } manifest ? manifest.Name : System.IO.Path.GetFileName(Path);

    /// <summary>Everything found so far.</summary>
    public IReadOnlyList<Diagnostic> Findings
    {
        get
        {
            lock (_gate) return [.. _findings];
        }
    }

    /// <summary>The code, loaded now if need be. A failure is remembered and thrown again.</summary>
    public LoadedPlugin Load()
    {
        lock (_gate)
        {
            if (_failure is not null) throw _failure;
            if (_loaded is not null) return _loaded;
            try
            {
                _loaded = LoadedPlugin.Load(Manifest!, _isUnloadable, _shadow?.Copy(Manifest!, hasOwnFolder: System.IO.Path.GetDirectoryName(Manifest!.MainAssembly) != Directory.Path));
                State = PluginState.Loaded;
                return _loaded;
            }
            catch (DiagnosticException exception)
            {
                _failure = exception;
                Fault(exception);
                throw;
            }
        }
    }

    /// <summary>A strategy's object.</summary>
    public object Create(StrategyKind kind, string id)
    {
        LoadedPlugin loaded = Load();
        try
        {
            return loaded.Create(kind, id);
        }
        catch (DiagnosticException exception)
        {
            lock (_gate) Fault(exception);
            throw;
        }
    }

    /// <summary>Whether a look at the same place finds the same again.</summary>
    internal bool IsSameAs(PluginProbeResult probe) => Path == probe.Path && Manifest?.Sha256 == probe.Manifest?.Sha256 && _probe.Findings.SequenceEqual(probe.Findings);

    /// <summary>Forgets what was found about it and others: they are compared anew.</summary>
    internal void Restart()
    {
        lock (_gate)
        {
            if (State != PluginState.Superseded && _findings.Count == _probe.Findings.Count) return;
            _findings.Clear();
            _findings.AddRange(_probe.Findings);
            if (_probe.Rejection is not null || Manifest is null) State = PluginState.Rejected;
            else if (_failure is not null) Fault(_failure);
            else State = _loaded is null ? PluginState.Discovered : PluginState.Loaded;
        }
    }

    /// <summary>Takes the plugin out of use in favour of another.</summary>
    internal void Supersede(Diagnostic note)
    {
        lock (_gate)
        {
            State = PluginState.Superseded;
            _findings.Add(note);
        }
    }

    /// <summary>Adds a finding that concerns it and others.</summary>
    internal void Add(Diagnostic finding)
    {
        lock (_gate)
        {
            if (_findings.All(known => known.Message != finding.Message)) _findings.Add(finding);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
        {
            _loaded?.Dispose();
            _loaded = null;
            if (State == PluginState.Loaded) State = PluginState.Discovered;
        }
    }

    private void Fault(DiagnosticException exception)
    {
        State = PluginState.Faulted;
        Add(Diagnostic.From(exception));
    }
}
