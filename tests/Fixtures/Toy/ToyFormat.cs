using System.Buffers.Binary;
using System.ComponentModel;
using System.Text;

namespace Toy;

/// <summary>Options of the format.</summary>
public sealed class ToyOptions
{
    [Description("Bytes between header and data.")]
    public int Gap { get; set; }
}

/// <summary>A header of 512 bytes (magic, size, backing file and its format), then the data; with a backing file all reads go there.</summary>
[Export(typeof(IBlockFormat))]
[Strategy("toy", Summary = "A header, then the data.", Options = typeof(ToyOptions))]
public sealed class ToyFormat : IBlockFormat
{
    private const int HeaderLength = 512;

    public FormatMatch Probe(IStorageMedium medium)
    {
        Span<byte> magic = stackalloc byte[8];
        return medium.Read(0, magic) == 8 && magic.SequenceEqual("TOYDISK1"u8) ? FormatMatch.Certain : FormatMatch.No;
    }

    public void Create(IStorageMedium medium, CreateRequest request, StrategyContext context)
    {
        if (request.Size % 512 != 0) throw new DiagnosticException("TOY2", "the size is no multiple of 512", medium.Name);
        if (request.Size == 1024) throw new InvalidOperationException("a bug in the toy");
        byte[] header = new byte[HeaderLength + context.Options<ToyOptions>().Gap];
        "TOYDISK1"u8.CopyTo(header);
        BinaryPrimitives.WriteInt64BigEndian(header.AsSpan(8), request.Size);
        byte[] backing = Encoding.UTF8.GetBytes($"{request.BackingFile}\n{request.BackingFormat}");
        header[16] = (byte)backing.Length;
        backing.CopyTo(header, 17);
        medium.Write(0, header, ContentClass.Header);
    }

    public IDiskImage Open(OpenRequest request, StrategyContext context)
    {
        byte[] header = new byte[HeaderLength];
        if (request.Storage.Read(0, header) < HeaderLength) throw new DiagnosticException("TOY3", "the header is cut", request.Storage.Name);
        string[] backing = Encoding.UTF8.GetString(header, 17, header[16]).Split('\n');
        IVirtualDisk? below = backing[0].Length == 0 ? null : request.OpenBacking(new BackingRequest(backing[0], backing[1].Length == 0 ? null : backing[1]));
        IJournalSession journal = request.OpenJournal(new Site(request), request.Storage);
        journal.Recover();
        if (!request.ReadOnly) journal.Start();
        return new Image(request, BinaryPrimitives.ReadInt64BigEndian(header.AsSpan(8)), below, journal);
    }

    private sealed class Site(OpenRequest request) : IJournalSite
    {
        public string ImageName => request.Storage.Name;
        public Guid ImageId => Guid.Empty;
        public ulong Epoch => 0;
        public bool IsReadOnly => request.ReadOnly;
        public bool IsHome(long offset, long length) => true;
        public T? GetCapability<T>() where T : class => null;
    }

    private sealed class Image(OpenRequest request, long size, IVirtualDisk? below, IJournalSession journal) : IDiskImage
    {
        public ImageDescription Description => new("toy", size, []);
        public IReadOnlyList<DiskEntry> ListDisks(string? after, int limit) => after is null ? [new DiskEntry("", size, request.ReadOnly, "")] : [];
        public IVirtualDisk OpenDisk(string name) => new Disk(request, size, below);
        public void Close() => journal.Close();
        public T? GetCapability<T>() where T : class => null;

        public void Dispose()
        {
            below?.Dispose();
            journal.Dispose();
            request.Storage.Dispose();
        }
    }

    private sealed class Disk(OpenRequest request, long size, IVirtualDisk? below) : IVirtualDisk
    {
        public long Length => size;
        public bool IsReadOnly => request.ReadOnly;
        public int PreferredBlockSize => 512;

        public void Read(long offset, Span<byte> buffer)
        {
            buffer.Clear();
            if (below is not null) below.Read(offset, buffer);
            else request.Storage.Read(HeaderLength + offset, buffer);
        }

        public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags) => request.Storage.Write(HeaderLength + offset, data, ContentClass.GuestData);
        public void Flush() => request.Storage.Flush();
        public T? GetCapability<T>() where T : class => null;

        public void Dispose()
        {
        }
    }
}

/// <summary>Matches anything, as raw does.</summary>
[Export(typeof(IBlockFormat))]
#if OTHER
[Strategy("raw", Summary = "Another build of the same version.")]
#else
[Strategy("raw", Summary = "The bytes of the image.")]
#endif
public sealed class ToyRaw : IBlockFormat
{
    public FormatMatch Probe(IStorageMedium medium) => FormatMatch.Possible;

    public void Create(IStorageMedium medium, CreateRequest request, StrategyContext context) => medium.SetLength(request.Size);

    public IDiskImage Open(OpenRequest request, StrategyContext context) => new Image(request);

    private sealed class Image(OpenRequest request) : IDiskImage, IVirtualDisk
    {
        public ImageDescription Description => new("raw", Length, []);
        public long Length => request.Storage.Length;
        public bool IsReadOnly => request.ReadOnly;
        public int PreferredBlockSize => 512;
        public IReadOnlyList<DiskEntry> ListDisks(string? after, int limit) => after is null ? [new DiskEntry("", Length, IsReadOnly, "")] : [];
        public IVirtualDisk OpenDisk(string name) => this;
        public void Read(long offset, Span<byte> buffer) => request.Storage.Read(offset, buffer);
        public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags) => request.Storage.Write(offset, data, ContentClass.GuestData);
        public void Flush() => request.Storage.Flush();
        public void Close() => request.Storage.Flush();
        public T? GetCapability<T>() where T : class => null;
        public void Dispose() => request.Storage.Dispose();
    }
}
