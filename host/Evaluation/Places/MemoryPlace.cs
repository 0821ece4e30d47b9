using System.Text;
using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation.Children;
using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Host.Evaluation.Workloads;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Evaluation.Places;

/// <summary>A file system in memory that stands in for persistent memory, where the second paper measures: ours, mounted and in process, beside ext4 on a RAM disk.</summary>
internal sealed class MemoryPlace(EvaluationContext context, IReadOnlyList<EvaluatedContender> contenders, IReadOnlyList<EvaluationWorkload> workloads) : Place
{
    // Twice the largest file of a scale, and more than ext4 takes for its journal.
    private static readonly Scaled s_regionBytes = new(192 << 20, 512 << 20, 2L << 30);

    private static readonly PipelineDefinition s_pmfs = Emulated(BuiltInPipelines.All.First(pipeline => pipeline.Name == BuiltInPipelines.Pmfs));

    public override EvaluationPlace Kind => EvaluationPlace.MemoryFileSystem;

    public override string Name => "memory-fs";

    public override string Description => "a file system in a file in memory, which stands in for persistent memory: pmfs, mounted by FUSE and called in this process, beside ext4 (data=ordered) on a loop device";

    public override IReadOnlyList<EvaluationWorkload> Workloads => workloads;

    public override IReadOnlyList<EvaluatedContender> Contenders => contenders;

    public override string Baseline => EvaluatedMemoryFileSystem.Ext4;

    public override bool IsMatrix => true;

    public override double StepWeight => 0.15;

    public override string? Lacks() => context.Scratch.Memory is null ? $"there is no folder in memory ({PmPlacement.SharedMemory})" : null;

    // Nothing here flushes a device.
    public override bool Has(DeviceRegime regime) => regime == DeviceRegime.AsIs;

    public override string? Lacks(EvaluatedContender contender, DeviceRegime regime) => ((EvaluatedMemoryFileSystem)contender).Kind switch
    {
        MemoryFileSystemKind.InProcess => null,
        MemoryFileSystemKind.Mounted => GuestFileSystemPlace.WhyNotMounting(),
        _ => GuestFileSystemPlace.WhyNotMounting() ?? (Programs.FirstMissing(LoopFileSystem.Tools) is { } missing ? $"{missing} is not installed" : null),
    };

    public override bool CountsWhileTimed(EvaluatedContender contender, DeviceRegime regime) => true;

    public override string CountedBy(EvaluatedContender contender, DeviceRegime regime) => "nobody: nothing is flushed";

    public override void WarmUp(IVolume volume, CancellationToken cancel)
    {
        var files = (IRecordVolume)volume;
        using (IRecordFile file = files.Create("warm-up")) Places.WarmUp.OfFile(file, cancel);
        files.Delete("warm-up");
    }

    public override IVolume SetUp(EvaluatedContender contender, VolumeRequest request)
    {
        string image = Path.Combine(context.Scratch.Memory!, contender.Name + ".img");
        long bytes = s_regionBytes.At(context.Scale);
        try
        {
            return ((EvaluatedMemoryFileSystem)contender).Kind switch
            {
                MemoryFileSystemKind.Ext4 => OpenExt4(image, bytes, request),
                MemoryFileSystemKind.Mounted => OpenMounted(image, bytes, request),
                _ => OpenInProcess(image, bytes),
            };
        }
        catch
        {
            File.Delete(image);
            throw;
        }
    }

    private static PipelineDefinition Emulated(PipelineDefinition pipeline)
        => pipeline with { Media = [pipeline.Media[0] with { Options = [OptionSetting.FromCommandLine("emulated", "true")] }, .. pipeline.Media.Skip(1)] };

    private static FolderVolume OpenExt4(string image, long bytes, VolumeRequest request)
    {
        Touch(image, bytes);
        string folder = Directory.CreateDirectory(Path.Combine(request.Folder, "ext4")).FullName;
        LoopFileSystem system = LoopFileSystem.Make(image, folder, "data=ordered", request.Cancel);
        return new FolderVolume(folder, image, system.Settle, system.Unmount, system);
    }

    private FolderVolume OpenMounted(string image, long bytes, VolumeRequest request)
    {
        Make(image, bytes);
        SphostExport export = SphostExport.Open(context, s_pmfs, image, request);
        // Every call is durable when it returns.
        return new FolderVolume(export.MountPoint, image, () => { }, export.Close, export);
    }

    private TreeVolume OpenInProcess(string image, long bytes)
    {
        Make(image, bytes);
        return new TreeVolume(context.Composer.Open(s_pmfs, image, readOnly: false), image);
    }

    private void Make(string image, long bytes)
    {
        context.Composer.Create(s_pmfs, image, new CreateRequest(bytes));
        Touch(image, bytes);
    }

    // The memory is there before the clock starts: what the file holds is written over itself, zeros where there was nothing.
    private static void Touch(string image, long bytes)
    {
        byte[] data = new byte[1 << 20];
        using Microsoft.Win32.SafeHandles.SafeFileHandle file = File.OpenHandle(image, FileMode.OpenOrCreate, FileAccess.ReadWrite);
        RandomAccess.SetLength(file, bytes);
        for (long offset = 0; offset < bytes; offset += data.Length)
        {
            int read = RandomAccess.Read(file, data, offset);
            RandomAccess.Write(file, data.AsSpan(0, read), offset);
        }
    }

    /// <summary>A mounted one.</summary>
    private sealed class FolderVolume(string folder, string image, Action settle, Action close, IDisposable inner) : IFolderVolume, IRecordVolume
    {
        public string Folder => folder;

        public VolumeCounts? Counts => null;

        public IRecordFile Create(string name) => new SyncedFile(Path.Combine(folder, name), FileMode.CreateNew);

        public void Delete(string name) => File.Delete(Path.Combine(folder, name));

        public void Settle() => settle();

        public void Close() => close();

        public void Dispose()
        {
            inner.Dispose();
            File.Delete(image);
        }
    }

    /// <summary>One without a kernel between.</summary>
    private sealed class TreeVolume(OpenedImage opened, string image) : IRecordVolume
    {
        private const uint RegularFile = 0x81A4; // S_IFREG, rw-r--r--

        private readonly IFileTree _tree = opened.Image.GetCapability<IFileTree>()!;

        public VolumeCounts? Counts => null;

        public IRecordFile Create(string name)
        {
            Require(_tree.Create(_tree.RootNode, Encoding.UTF8.GetBytes(name), new NodeRequest(RegularFile, 0, 0), out NodeAttributes node), "create");
            return new TreeFile(_tree, node.Node);
        }

        public void Delete(string name) => Require(_tree.Remove(_tree.RootNode, Encoding.UTF8.GetBytes(name)), "remove");

        public void Settle()
        {
        }

        public void Close() => opened.Close();

        public void Dispose()
        {
            opened.Dispose();
            File.Delete(image);
        }

        private static void Require(FileError error, string call)
        {
            if (error != FileError.None) throw new DiagnosticException("SP4202", "the program failed", $"pmfs in process, {call}", found: $"{error}", fix: "leave the place out with --place");
        }

        private sealed class TreeFile(IFileTree tree, ulong node) : IRecordFile
        {
            public void Write(ReadOnlySpan<byte> data, long offset) => Require(tree.Write(node, offset, data), "write");

            public void Sync() => Require(tree.Flush(node), "flush");

            public void Dispose()
            {
                tree.Closed(node);
                tree.Forget(node, 1);
            }
        }
    }
}
