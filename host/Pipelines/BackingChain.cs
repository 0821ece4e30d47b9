using Microsoft.Extensions.Logging;
using StoragePlugins.Media;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Pipelines;

/// <summary>Opens an image's backing files, and theirs: for reading, without loops, of bounded depth.</summary>
internal sealed class BackingChain
{
    /// <summary>Images in a chain. QEMU has no limit and overflows its stack; 64 snapshots in files are far beyond what reads stay fast with.</summary>
    public const int MaxDepth = 64;

    private readonly BackingOpener _opener;
    private readonly string _image;
    private readonly IReadOnlyList<(ulong Device, ulong Inode)> _above;

    private BackingChain(BackingOpener opener, string image, IReadOnlyList<(ulong, ulong)> above)
    {
        _opener = opener;
        _image = image;
        _above = above;
    }

    /// <summary>The chain below an image.</summary>
    public static BackingChain Below(string image, BackingOpener opener) => new(opener, image, Identity(image) is { } identity ? [identity] : []);

    /// <summary>Opens the backing file that the image names.</summary>
    /// <returns>Its live disk; disposing it disposes its image and everything below.</returns>
    public IVirtualDisk Open(BackingRequest request)
    {
        string path = Resolve(request.File);
        if (Identity(path) is not { } identity)
            throw new DiagnosticException("SP3807", "its backing file is not there", _image, found: $"'{request.File}', which is {path}", fix: "restore the file, or rebase the image");
        if (_above.Contains(identity))
            throw new DiagnosticException("SP3802", "its backing chain is a loop", _image, found: $"'{request.File}', which is already in the chain", fix: "rebase one of the images");
        if (_above.Count >= MaxDepth)
            throw new DiagnosticException("SP3803", "its backing chain is too deep", _image, $"at most {MaxDepth} images", "more", "commit or flatten some of them");

        IStorageMedium medium = _opener.Media.Open(new MediumRequest { Location = path, ReadOnly = true, OpenInner = () => throw new InvalidOperationException() });
        try
        {
            string formatId = request.Format ?? Probe(medium, request.File);
            IBlockFormat format = _opener.Catalog.Get<IBlockFormat>(formatId, _image);
            var below = new BackingChain(_opener, path, [.. _above, identity]);
            IDiskImage image = StrategyCall.Guard(format.GetType(), $"format '{formatId}'", path, () => format.Open(
                new OpenRequest { Storage = new ReadOnlyOrdered(medium), JournalId = _opener.JournalId, OpenJournal = _opener.OpenJournal, OpenBacking = below.Open, ReadOnly = true },
                _opener.FormatContext));
            try
            {
                return new BackingDisk(image);
            }
            catch
            {
                image.Dispose();
                throw;
            }
        }
        catch
        {
            medium.Dispose();
            throw;
        }
    }

    private string Probe(IStorageMedium medium, string file)
    {
        string format = new FormatDetection(_opener.Catalog, _opener.Logger).Detect(medium);
        if (format == "raw")
        {
            // A guest that writes a qcow2 header into a raw file could name any file of the host as its backing file.
            _opener.Logger.LogWarning(
                "SP3808: {Image}: it does not say of what format its backing file '{File}' is; raw is assumed (set it with qemu-img rebase -u -F raw)", _image, file);
        }

        return format;
    }

    private string Resolve(string file)
    {
        if (file.StartsWith("file:", StringComparison.Ordinal)) file = file["file:".Length..];
        else if (Protocol(file) is { } protocol)
        {
            throw new DiagnosticException(
                "SP3804", $"its backing file is behind '{protocol}:', which is not supported", _image, "a file", $"'{file}'", "copy it to a file and rebase the image");
        }

        return Path.GetFullPath(file, Path.GetDirectoryName(Path.GetFullPath(_image))!);
    }

    /// <summary>As QEMU tells protocols from files: a colon before the first slash.</summary>
    private static string? Protocol(string file)
    {
        int colon = file.IndexOf(':', StringComparison.Ordinal);
        int slash = file.IndexOf('/', StringComparison.Ordinal);
        return colon > 0 && (slash < 0 || colon < slash) ? file[..colon] : null;
    }

    private static (ulong, ulong)? Identity(string path) => UnixFile.Status(path) is { } status ? (status.Device, status.Inode) : null;

    /// <summary>A backing image's live disk; owns the image.</summary>
    private sealed class BackingDisk(IDiskImage image) : IVirtualDisk
    {
        private readonly IVirtualDisk _disk = image.OpenDisk("");

        public long Length => _disk.Length;

        public bool IsReadOnly => true;

        public int PreferredBlockSize => _disk.PreferredBlockSize;

        public void Read(long offset, Span<byte> buffer) => _disk.Read(offset, buffer);

        public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags) => _disk.Write(offset, data, flags);

        public void Flush() => _disk.Flush();

        public T? GetCapability<T>() where T : class => _disk.GetCapability<T>();

        public void Dispose()
        {
            _disk.Dispose();
            image.Dispose();
        }
    }
}

/// <summary>What opening backing files takes, the same for the whole chain.</summary>
/// <param name="Catalog">The formats.</param>
/// <param name="Media">Opens locations.</param>
/// <param name="FormatContext">Given to formats; default options, for the pipeline's are the top image's.</param>
/// <param name="JournalId">The id of the pipeline's journal.</param>
/// <param name="OpenJournal">Opens it.</param>
/// <param name="Logger">For warnings.</param>
internal sealed record BackingOpener(
    PluginCatalog Catalog, MediumChain Media, StrategyContext FormatContext, string JournalId,
    Func<IJournalSite, IOrderedMedium, IJournalSession> OpenJournal, ILogger Logger);
