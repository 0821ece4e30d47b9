using System.Diagnostics;
using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Exports.Nbd;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;
using StoragePlugins.Host.Telemetry;

namespace StoragePlugins.Host.Serving;

/// <summary>One image that is served: the pipeline that has it open at present, and the exports of its disks, which outlive a change of pipeline.</summary>
/// <remarks>Opened, switched and closed by one thread at a time.</remarks>
internal sealed class ServedImage : IMeteredDisk, IDisposable
{
    /// <summary>Snapshots, or files of a tree, beyond this number are not exported: a listing of exports is read by people.</summary>
    private const int MaxSnapshotExports = 256;

    /// <summary>How long requests under way may take before a switch gives up; the clients wait meanwhile.</summary>
    private static readonly TimeSpan s_holdTimeout = TimeSpan.FromSeconds(5);

    private readonly PipelineComposer _composer;
    private readonly ILogger _logger;
    private readonly List<(string Disk, NbdExport Export)> _exports = [];
    private bool _isLost;

    private ServedImage(DiskDefinition definition, OpenedImage image, PipelineComposer composer, ILogger logger) => (Definition, Image, _composer, _logger) = (definition, image, composer, logger);

    /// <summary>What was asked for.</summary>
    public DiskDefinition Definition { get; }

    /// <summary>The image as its present pipeline has it open.</summary>
    public OpenedImage Image { get; private set; }

    /// <summary>The live disk first, then snapshots, read-only, as <c>NAME@SNAPSHOT</c>; of a tree its files by path.</summary>
    public IEnumerable<NbdExport> Exports => _exports.Select(export => export.Export);

    /// <summary>The live disk, or the first file.</summary>
    public ServedDisk Disk => _exports[0].Export.Disk;

    /// <inheritdoc/>
    public string Name => Definition.Name.Length > 0 ? Definition.Name : Path.GetFileName(Definition.Image);

    string IMeteredDisk.Pipeline => Image.Pipeline.Name;

    string IMeteredDisk.Export => "nbd";

    long IMeteredDisk.Size => Disk.Length;

    /// <inheritdoc/>
    public DiskState State => Disk.Poison is not null ? DiskState.DurabilityLost : Image.IsReadOnly ? DiskState.ReadOnly : DiskState.Serving;

    StorageMeter IMeteredDisk.Meter => Disk.Meter;

    int IMeteredDisk.ActiveRequests => _exports.Sum(export => export.Export.Disk.ActiveRequests);

    int? IMeteredDisk.Connections => _exports.Sum(export => export.Export.Disk.Connections);

    void IMeteredDisk.AddLatency(Span<long> counts, RequestKind kind)
    {
        foreach ((_, NbdExport export) in _exports) export.Disk.Latency.AddTo(counts, kind);
    }

    /// <summary>Opens an image, making it when the definition says so, and exports its disks.</summary>
    public static ServedImage Open(DiskDefinition definition, PipelineComposer composer, ILogger logger)
    {
        PipelineDefinition pipeline = composer.Choose(definition.Pipeline, definition.Image);
        if (definition.Size is { } size && !definition.ReadOnly && !File.Exists(definition.Image))
        {
            composer.Create(pipeline, definition.Image, new CreateRequest(size));
            logger.LogInformation("made {Image}, {Size}, {Format}", definition.Image, Quantities.FormatSize(size), pipeline.Format.Id);
        }

        var served = new ServedImage(definition, composer.Open(pipeline, definition.Image, definition.ReadOnly), composer, logger);
        served.ExportDisks();
        return served;
    }

    /// <summary>
    /// Moves the image to another pipeline while it is served: requests that come wait, those under way end, the image is closed cleanly by the one pipeline and
    /// opened by the other. What was written before is durable then; clients see a pause.
    /// </summary>
    /// <param name="pipeline">For the same format.</param>
    /// <returns>How long clients waited.</returns>
    /// <exception cref="DiagnosticException">SP4020: it cannot be switched, and nothing changed. SP4021: it could not be opened by the other pipeline and goes on with
    /// its own. SP4022: it could not be closed or opened again; the disk is lost until the host is started anew.</exception>
    /// <exception cref="InvalidConfigurationException">The pipeline has several problems; nothing changed.</exception>
    public TimeSpan Switch(PipelineDefinition pipeline)
    {
        RequireSwitchable(pipeline);
        using PreparedPipeline next = _composer.Prepare(pipeline, Image.Meter), back = _composer.Prepare(Image.Pipeline, Image.Meter);
        long start = Stopwatch.GetTimestamp();
        Hold();
        try
        {
            CloseHeld();
            DiagnosticException? failure = TryReopen(next);
            if (failure is null) return Stopwatch.GetElapsedTime(start);
            if (TryReopen(back) is { } second) throw Lost(second.Message);
            throw new DiagnosticException(
                "SP4021", $"the disk goes on with pipeline '{back.Definition.Name}': '{pipeline.Name}' cannot open the image: {failure.Message.TrimEnd('.')}", Definition.Image, inner: failure);
        }
        finally
        {
            foreach ((_, NbdExport export) in _exports) export.Disk.Release();
        }
    }

    /// <summary>Waits for running requests, commits, flushes and closes.</summary>
    /// <returns>False when requests were still running after the time; the image is left as a crash would leave it.</returns>
    public bool Quiesce(TimeSpan timeout)
    {
        foreach ((_, NbdExport export) in _exports)
        {
            if (export.Disk.Quiesce(timeout)) continue;
            _logger.LogError("SP4012: {Disk}: requests were still running after {Seconds} s; the image is left as a crash would leave it", export.Disk.Name, timeout.TotalSeconds);
            return false;
        }

        return true;
    }

    /// <summary>Commits, flushes and closes the image. After <see cref="Quiesce"/>.</summary>
    /// <returns>False when it could not be closed cleanly; the reason is logged.</returns>
    public bool TryClose()
    {
        if (_isLost) return false;
        CloseResult result = CleanClose.Try(Image, Disk.Name, Disk.Poison, _logger);
        _isLost = result == CloseResult.Hangs;
        return result == CloseResult.Closed;
    }

    /// <summary>Lets go of everything; without a clean end where <see cref="TryClose"/> was not called.</summary>
    public void Dispose()
    {
        if (_isLost) return;
        foreach ((_, NbdExport export) in _exports) export.Disk.Dispose();
        Image.Dispose();
    }

    private void ExportDisks()
    {
        IReadOnlyList<DiskEntry> disks = Ask(Image, "list the disks", image => image.ListDisks(null, MaxSnapshotExports + 1));
        if (Image.Image.GetCapability<IFileTree>() is not null)
        {
            ExportFiles(disks);
            return;
        }

        if (disks.Count == 0 || disks[0].Name.Length > 0) throw new DiagnosticException("SP1026", $"format '{Image.Pipeline.Format.Id}' lists no live disk first", Definition.Image, fix: "report it to the plugin's author");
        foreach (DiskEntry entry in disks) Export(entry, entry.Name.Length == 0 ? Definition.Name : $"{Definition.Name}@{entry.Name}");
    }

    // A tree has no live disk: its files are the exports, by path.
    private void ExportFiles(IReadOnlyList<DiskEntry> files)
    {
        if (files.Count > MaxSnapshotExports)
            _logger.LogWarning("SP4015: {Image}: it has more than {Count} files; only these, the first by name, are exported; mount it for all of them: sphost mount", Definition.Image, MaxSnapshotExports);
        foreach (DiskEntry entry in files.Take(MaxSnapshotExports)) Export(entry, Definition.Name.Length == 0 ? entry.Name : $"{Definition.Name}/{entry.Name}");
        if (_exports.Count == 0) throw new DiagnosticException("SP4014", "there is no file in the image that could be served", Definition.Image, fix: "mount it and put one there: sphost mount");
    }

    private void Export(DiskEntry entry, string name)
    {
        try
        {
            // Snapshots share the image's meter: what they cost is the image's cost.
            var disk = new ServedDisk(name.Length == 0 ? Definition.Image : name, OpenDisk(Image, entry.Name), Image.Meter, _logger);
            _exports.Add((entry.Name, new NbdExport(name, disk, DescriptionOf(entry))));
        }
        catch (DiagnosticException broken) when (entry.Name.Length > 0)
        {
            _logger.LogWarning("{Code}: {Message}", broken.Code, broken.Message);
        }
    }

    private IVirtualDisk OpenDisk(OpenedImage image, string name)
    {
        IVirtualDisk disk = Ask(image, "open a disk", opened => opened.OpenDisk(name));
        if (disk.Length >= 0 && disk.PreferredBlockSize >= 512 && System.Numerics.BitOperations.IsPow2(disk.PreferredBlockSize)) return disk;
        (long length, int block) = (disk.Length, disk.PreferredBlockSize);
        disk.Dispose();
        throw new DiagnosticException(
            "SP1026", $"format '{image.Pipeline.Format.Id}' opened a disk that cannot be", Definition.Image, "a length of 0 or more, and a preferred block size that is a power of two of 512 or more", $"{length} and {block}", "report it to the plugin's author");
    }

    private static T Ask<T>(OpenedImage image, string what, Func<IDiskImage, T> question) =>
        StrategyCall.Guard(image.Image.GetType(), $"format '{image.Pipeline.Format.Id}', asked to {what},", image.Path, () => question(image.Image));

    private void RequireSwitchable(PipelineDefinition pipeline)
    {
        if (pipeline.Format.Id != Image.Pipeline.Format.Id)
            throw new DiagnosticException("SP4020", $"pipeline '{pipeline.Name}' is for another format", Definition.Image, Image.Pipeline.Format.Id, pipeline.Format.Id, "name a pipeline for the image's format: sphost pipelines list");
        if (Disk.Poison is { } poison)
            throw new DiagnosticException("SP4020", $"a disk that has lost durability cannot be switched: {poison.Message.TrimEnd('.')}", Definition.Image, fix: "check the device, and start the host again to recover the image");
    }

    private void Hold()
    {
        for (int i = 0; i < _exports.Count; i++)
        {
            if (_exports[i].Export.Disk.Hold(s_holdTimeout)) continue;
            for (int held = 0; held < i; held++) _exports[held].Export.Disk.Release();
            throw new DiagnosticException("SP4020", $"requests were still running after {s_holdTimeout.TotalSeconds:0} s; nothing was changed", Definition.Image, fix: "try again when there is less to do");
        }
    }

    private void CloseHeld()
    {
        try
        {
            Image.Image.Close();
        }
        catch (Exception failure) when (failure is not OutOfMemoryException)
        {
            LetGo();
            throw Lost(failure.Message);
        }

        LetGo();
    }

    private void LetGo()
    {
        foreach ((_, NbdExport export) in _exports) export.Disk.Detach();
        Image.Dispose();
    }

    private DiagnosticException? TryReopen(PreparedPipeline prepared)
    {
        OpenedImage? image = null;
        var disks = new List<IVirtualDisk>();
        try
        {
            image = prepared.Open(Definition.Image, Definition.ReadOnly);
            foreach ((string disk, _) in _exports) disks.Add(OpenDisk(image, disk));
        }
        catch (Exception failure) when (failure is StorageException or DiagnosticException)
        {
            foreach (IVirtualDisk disk in disks) disk.Dispose();
            image?.Dispose();
            return failure as DiagnosticException ?? new DiagnosticException("SP4021", failure.Message, Definition.Image, inner: failure);
        }

        for (int i = 0; i < disks.Count; i++) _exports[i].Export.Disk.Replace(disks[i]);
        Image = image;
        return null;
    }

    // Whatever the guest is told from now on is an error: nobody knows what is durable.
    private DiagnosticException Lost(string reason)
    {
        _isLost = true;
        foreach ((_, NbdExport export) in _exports)
        {
            export.Disk.SetPoison(new DurabilityLostException("switch", export.Disk.Name, reason));
            export.Disk.Replace(new LostDisk(export.Disk.Name, export.Disk.Length, reason));
        }

        return new DiagnosticException("SP4022", $"the disk is lost to its clients: {reason.TrimEnd('.')}", Definition.Image, fix: "stop the host, check the image with 'sphost image check', and start again to recover it");
    }

    private string DescriptionOf(DiskEntry entry)
    {
        string description = entry.Description.Length > 0 ? entry.Description : Definition.Description;
        return Image.UnsafeReasons.Count > 0 ? $"{description} UNSAFE: {string.Join("; ", Image.UnsafeReasons)}".Trim() : description;
    }
}
