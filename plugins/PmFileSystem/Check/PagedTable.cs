namespace StoragePlugins.PmFileSystem.Check;

/// <summary>A table with an entry a block or an inode, of which only the pages in use take memory.</summary>
internal sealed class PagedTable<T>(long length)
    where T : struct
{
    public const int PageEntries = 4096;

    private readonly T[]?[] _pages = new T[]?[(length + PageEntries - 1) / PageEntries];

    public int Pages => _pages.Length;

    /// <summary>The entry, to be read or changed; its page is made where there is none.</summary>
    public ref T this[long index] => ref (_pages[index / PageEntries] ??= new T[Math.Min(PageEntries, length - (index / PageEntries * PageEntries))])[index % PageEntries];

    /// <summary>The entry's value; a page that nobody made holds nothing.</summary>
    public T Peek(long index) => _pages[index / PageEntries] is { } page ? page[index % PageEntries] : default;

    /// <summary>The entries of a page; <see langword="null"/> when none was ever touched.</summary>
    public T[]? Page(int page) => _pages[page];
}
