using StoragePlugins.PmFileSystem;
using StoragePlugins.PmFileSystem.Journal;

namespace StoragePlugins.PmFileSystemBench;

/// <summary>pmfs in this process. Everything is durable when a call returns, so all modes are one.</summary>
internal sealed class PmFileSystemVolume : IBenchVolume, IScaleImage
{
    private const int FirstPieceBytes = 1 << 20;
    private const int LastPieceBytes = 4096;

    private readonly PmFileSystem.PmFileSystem _files;

    private PmFileSystemVolume(PmFileSystem.PmFileSystem files) => _files = files;

    public string Name => "pmfs";

    public IFileTree Tree => _files.Tree;

    private MetadataJournal Journal => ((PmTree)_files.Tree).Volume.Journal;

    /// <summary>Opens an image in memory.</summary>
    public static PmFileSystemVolume Open(string path) => new(PmFileSystem.PmFileSystem.Open(path, new PmOpenOptions { Emulated = true }));

    /// <summary>Makes an image, and has all of its memory there and in the page tables of this mapping.</summary>
    public static PmFileSystemVolume Make(string path, long bytes)
    {
        PmFileSystem.PmFileSystem.Format(path, bytes);
        PmFileSystemVolume volume = Open(path);
        volume.TouchAll();
        return volume;
    }

    /// <summary>A file takes all of the space, and gives it back.</summary>
    public void TouchAll()
    {
        const string Name = "touch";
        byte[] piece = new byte[FirstPieceBytes];
        using (PmFile file = _files.CreateFile(Name))
        {
            long offset = 0;
            for (int length = piece.Length; length >= LastPieceBytes;)
            {
                try
                {
                    file.Write(offset, piece.AsSpan(0, length));
                    offset += length;
                }
                catch (StorageException full) when (full.Error == StorageError.NoSpace)
                {
                    length /= 2;
                }
            }
        }

        _files.Delete(Name);
    }

    public IBenchFile Create(string name, bool synchronous) => new OpenFile(_files.CreateFile(name));

    public IBenchFile Open(string name, bool synchronous) => new OpenFile(_files.OpenFile(name));

    public void OpenAndClose(string path)
    {
        using PmFile file = _files.OpenFile(path);
    }

    public void Delete(string name) => _files.Delete(name);

    public void Settle()
    {
    }

    /// <summary>Bytes of journal records and bytes stored at home since the opening.</summary>
    public (long Records, long RecordBytes, long HomeBytes) Written()
    {
        (long records, long bytes, long _) = Journal.Totals;
        return (records, bytes, Journal.HomeBytes);
    }

    public void Dispose() => _files.Dispose();

    private sealed class OpenFile(PmFile file) : IBenchFile
    {
        public void Write(long offset, ReadOnlySpan<byte> data) => file.Write(offset, data);

        public void Flush() => file.Flush();

        public void Dispose() => file.Dispose();
    }
}

/// <summary>pmfs, for the scale run.</summary>
internal sealed class PmFileSystemScale : IScaleSystem
{
    public void Format(string path, long bytes, long files) =>
        PmFileSystem.PmFileSystem.Format(path, bytes, new PmFormatOptions { BytesPerInode = Math.Clamp(bytes / files, 1024, 64 << 20) });

    public IScaleImage Open(string path) => PmFileSystemVolume.Open(path);
}
