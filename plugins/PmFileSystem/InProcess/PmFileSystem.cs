using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Media;
using StoragePlugins.Media.Mapping;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem;

/// <summary>A pmfs file system in this process: no kernel, no buffer cache, no copy but the one into the file.</summary>
/// <remarks>
/// <para><b>Paths</b> are from the root, parts separated by '/', encoded as UTF-8; a leading '/' means nothing; symbolic links are not followed.</para>
/// <para><b>Durability.</b> Every call is atomic in its metadata and durable when it returns, in the persistence domain of the region.</para>
/// <para><b>Threading.</b> Thread-safe, the files too. The region is locked against other processes while it is open.</para>
/// <para><b>Errors.</b> <see cref="FileNotFoundException"/> and <see cref="DirectoryNotFoundException"/> for what is not there; <see cref="StorageException"/> for a
/// region that is full, read-only or damaged; <see cref="IOException"/> for what a file system refuses (a name that is taken, a directory that is not empty).</para>
/// </remarks>
public sealed class PmFileSystem : IDisposable
{
    private const uint FileMode = 0x1a4, DirectoryMode = 0x1ed;

    private readonly IStorageMedium _medium;
    private readonly PmTree _tree;
    private bool _isClosed;

    private PmFileSystem(IStorageMedium medium, PmTree tree) => (_medium, _tree) = (medium, tree);

    /// <summary>The tree, for what this class does not offer. Nodes that it hands out are held until <see cref="IFileTree.Forget"/>.</summary>
    public IFileTree Tree => _tree;

    /// <summary>Where a store is durable.</summary>
    public PersistenceDomain Domain => _tree.Volume.Region.Memory.Domain;

    /// <summary>What the journal has cost since the opening: records, their bytes, and how often all was brought home.</summary>
    public (long Records, long Bytes, long Checkpoints) JournalTotals => _tree.Volume.Journal.Totals;

    /// <summary>Makes a new file system in a new file.</summary>
    /// <param name="path">The region; a file of this name must not exist.</param>
    /// <param name="size">Bytes, 1 MiB to 16 TiB. The file is sparse: space is taken as it is used.</param>
    /// <param name="options">Of the format.</param>
    /// <exception cref="DiagnosticException">The size is out of range, or the file cannot be made.</exception>
    public static void Format(string path, long size, PmFormatOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        using IStorageMedium medium = new FileMediumFactory().Open(new MediumRequest { Location = path, Create = true, OpenInner = NoInner }, Context(null));
        new PmFormat().Create(medium, new CreateRequest(size), Context(options));
        medium.GetCapability<IFlushableMedium>()?.FlushAll();
    }

    /// <summary>Opens a file system, and recovers it where it was not closed cleanly.</summary>
    /// <param name="path">The region: a file on DAX, a DAX device, an ordinary file (then each call waits for <c>msync(2)</c>), or, if the options agree, memory.</param>
    /// <param name="options">How.</param>
    /// <exception cref="DiagnosticException">SP3020 somebody else has it; SP32xx it is no valid image; SP502x it cannot be mapped as asked.</exception>
    public static PmFileSystem Open(string path, PmOpenOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        options ??= new PmOpenOptions();
        var mapping = new PmMediumOptions { Emulated = options.Emulated, PersistenceDomain = options.Domain?.ToString().ToLowerInvariant() ?? "auto" };
        IStorageMedium medium = new PmMediumFactory().Open(
            new MediumRequest
            {
                Location = path,
                ReadOnly = options.ReadOnly,
                OpenInner = () => new FileMediumFactory().Open(new MediumRequest { Location = path, ReadOnly = options.ReadOnly, OpenInner = NoInner }, Context(null)),
            },
            Context(mapping));
        try
        {
            return new PmFileSystem(medium, PmFormat.OpenVolume(medium.GetCapability<IPersistentMemory>()!, path, options.ReadOnly, NullLogger.Instance));
        }
        catch
        {
            medium.Dispose();
            throw;
        }
    }

    /// <summary>Makes an empty file. The name must not be taken.</summary>
    public PmFile CreateFile(string path)
    {
        (ulong parent, byte[] name) = Parent(path);
        try
        {
            FileErrors.ThrowIf(_tree.Create(parent, name, new NodeRequest(((uint)NodeKind.File << 12) | FileMode, 0, 0), out NodeAttributes node), "create", path);
            return new PmFile(_tree, node.Node, path);
        }
        finally
        {
            _tree.Forget(parent, 1);
        }
    }

    /// <summary>Opens a regular file that is there.</summary>
    public PmFile OpenFile(string path)
    {
        NodeAttributes node = Find(path);
        if (node.Kind == NodeKind.File) return new PmFile(_tree, node.Node, path);
        _tree.Forget(node.Node, 1);
        throw new IOException($"'{path}' is no regular file but a {node.Kind}.");
    }

    /// <summary>Whether there is something of this name.</summary>
    public bool Exists(string path)
    {
        if (PathWalk.Find(_tree, Encoding.UTF8.GetBytes(path), out NodeAttributes node) != FileError.None) return false;
        _tree.Forget(node.Node, 1);
        return true;
    }

    /// <summary>What is known of a node.</summary>
    public NodeAttributes GetAttributes(string path)
    {
        NodeAttributes node = Find(path);
        _tree.Forget(node.Node, 1);
        return node;
    }

    /// <summary>Makes a directory. Its parent must be there, and the name free.</summary>
    public void CreateDirectory(string path)
    {
        (ulong parent, byte[] name) = Parent(path);
        FileError error = _tree.Create(parent, name, new NodeRequest(((uint)NodeKind.Directory << 12) | DirectoryMode, 0, 0), out NodeAttributes node);
        _tree.Forget(parent, 1);
        FileErrors.ThrowIf(error, "mkdir", path);
        _tree.Forget(node.Node, 1);
    }

    /// <summary>Takes a name away from a file; with its last name, and when nobody has it open, the file goes.</summary>
    public void Delete(string path) => WithParent(path, "unlink", _tree.Remove);

    /// <summary>Removes an empty directory.</summary>
    public void DeleteDirectory(string path) => WithParent(path, "rmdir", _tree.RemoveDirectory);

    /// <summary>Moves a file or directory, atomically.</summary>
    /// <param name="path">What.</param>
    /// <param name="newPath">Its new name.</param>
    /// <param name="replace">What has the new name is replaced; otherwise it must be free.</param>
    public void Move(string path, string newPath, bool replace = false)
    {
        (ulong parent, byte[] name) = Parent(path);
        (ulong newParent, byte[] newName) = Parent(newPath);
        FileError error = _tree.Rename(parent, name, newParent, newName, replace ? RenameMode.Replace : RenameMode.Keep);
        _tree.Forget(parent, 1);
        _tree.Forget(newParent, 1);
        FileErrors.ThrowIf(error, "rename", path);
    }

    /// <summary>The names in a directory, in no particular order.</summary>
    public IReadOnlyList<string> List(string path)
    {
        NodeAttributes node = Find(path);
        var names = new NameCollector();
        FileError error = _tree.ReadDirectory(node.Node, 0, names);
        _tree.Forget(node.Node, 1);
        FileErrors.ThrowIf(error, "list", path);
        return names.Names;
    }

    /// <summary>Closes it cleanly. Files that are still open must not be used any more.</summary>
    /// <exception cref="DurabilityLostException">A fence failed: the next opening recovers.</exception>
    public void Close()
    {
        if (_isClosed) return;
        _isClosed = true;
        try
        {
            _tree.Close();
        }
        finally
        {
            _medium.Dispose();
        }
    }

    /// <summary>As <see cref="Close"/>.</summary>
    public void Dispose() => Close();

    private void WithParent(string path, string operation, NameOperation operate)
    {
        (ulong parent, byte[] name) = Parent(path);
        FileError error = operate(parent, name);
        _tree.Forget(parent, 1);
        FileErrors.ThrowIf(error, operation, path);
    }

    private NodeAttributes Find(string path)
    {
        FileErrors.ThrowIf(PathWalk.Find(_tree, Encoding.UTF8.GetBytes(path), out NodeAttributes node), "open", path);
        return node;
    }

    // The directory of a path, held, and the name in it.
    private (ulong Parent, byte[] Name) Parent(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        string trimmed = path.TrimEnd('/');
        int slash = trimmed.LastIndexOf('/');
        NodeAttributes parent = Find(slash < 0 ? "" : trimmed[..slash]);
        return (parent.Node, Encoding.UTF8.GetBytes(trimmed[(slash + 1)..]));
    }

    private static StrategyContext Context(object? options) => new(options, new StorageMeter(), NullLogger.Instance);

    private static IStorageMedium NoInner() => throw new InvalidOperationException("A file stands on nothing.");

    private delegate FileError NameOperation(ulong parent, ReadOnlySpan<byte> name);

    private sealed class NameCollector : IDirectoryVisitor
    {
        public List<string> Names { get; } = [];

        public bool Visit(ReadOnlySpan<byte> name, ulong node, NodeKind kind, ulong next)
        {
            Names.Add(Encoding.UTF8.GetString(name));
            return true;
        }
    }
}

/// <summary>How <see cref="PmFileSystem.Open"/> opens.</summary>
public sealed record PmOpenOptions
{
    /// <summary>Where a store is durable; <see langword="null"/> for what the mapping is known to give.</summary>
    public PersistenceDomain? Domain { get; init; }

    /// <summary>Ordinary memory (<c>/dev/shm</c>), or a weaker domain, may stand in: nothing survives a power cut then.</summary>
    public bool Emulated { get; init; }

    /// <summary>Nothing may be written. Refused when the image was not closed cleanly.</summary>
    public bool ReadOnly { get; init; }
}
