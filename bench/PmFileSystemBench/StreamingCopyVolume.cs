using StoragePlugins.Media;

namespace StoragePlugins.PmFileSystemBench;

/// <summary>
/// The limit of the machine: a file is the beginning of a mapped region, a write is a copy past the cache and a fence. No names, no metadata, no allocation.
/// </summary>
internal sealed class StreamingCopyVolume : IBenchVolume
{
    private readonly FileMedium _medium;
    private readonly IPersistentMemory _memory;

    /// <param name="path">A region that exists, with all its memory; see <see cref="Scratch.MakeRegion"/>.</param>
    public StreamingCopyVolume(string path)
    {
        _medium = new FileMedium(File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite), path, path, readOnly: false, new StorageMeter());
        _memory = _medium.Map(new MappingRequest { Domain = PersistenceDomain.Adr, Emulated = true });
        // The page tables of this very mapping.
        for (long offset = 0; offset < _memory.Length; offset += Scratch.PieceBytes)
            _memory.StoreNonTemporal(offset, _memory.View(offset, (int)Math.Min(Scratch.PieceBytes, _memory.Length - offset)));
        _memory.Fence();
    }

    public string Name => "streaming copy";

    public IBenchFile Create(string name, bool synchronous) => new WholeRegion(_memory);

    public IBenchFile Open(string name, bool synchronous) => new WholeRegion(_memory);

    public void Delete(string name)
    {
    }

    public void Settle()
    {
    }

    public void Dispose() => _medium.Dispose();

    private sealed class WholeRegion(IPersistentMemory memory) : IBenchFile
    {
        public void Write(long offset, ReadOnlySpan<byte> data)
        {
            memory.StoreNonTemporal(offset, data);
            memory.Fence();
        }

        public void Flush() => memory.Fence();

        public void Dispose()
        {
        }
    }
}
