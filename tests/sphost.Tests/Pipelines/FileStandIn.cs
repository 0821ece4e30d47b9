using Microsoft.Win32.SafeHandles;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Tests.Pipelines;

/// <summary>The least that a file medium can be; knows how many are open.</summary>
internal sealed class FileStandIn : IMediumFactory
{
    private int _open;

    /// <summary>Media opened and not yet disposed.</summary>
    public int Open => _open;

    /// <summary>Flushes of all metadata.</summary>
    public int FullFlushes { get; private set; }

    /// <summary>As a strategy of the host.</summary>
    public BuiltInStrategy AsBuiltIn => new(StrategyKind.Medium, BuiltInStrategies.FileMedium, "a file", null, () => this);

    IStorageMedium IMediumFactory.Open(MediumRequest request, StrategyContext context)
    {
        if (!File.Exists(request.Location)) throw new DiagnosticException("TEST1", "no such file", request.Location);
        var medium = new Medium(this, request);
        Interlocked.Increment(ref _open);
        return medium;
    }

    private sealed class Medium(FileStandIn owner, MediumRequest request) : IStorageMedium, IFlushableMedium
    {
        private readonly SafeFileHandle _handle = File.OpenHandle(request.Location, FileMode.Open, request.ReadOnly ? FileAccess.Read : FileAccess.ReadWrite, FileShare.ReadWrite);
        private bool _disposed;

        public string Name => request.Location;

        public long Length => RandomAccess.GetLength(_handle);

        public bool IsReadOnly => request.ReadOnly;

        public int Read(long offset, Span<byte> buffer) => RandomAccess.Read(_handle, buffer, offset);

        public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content) => RandomAccess.Write(_handle, data, offset);

        public void SetLength(long length) => RandomAccess.SetLength(_handle, length);

        public void FlushData() => RandomAccess.FlushToDisk(_handle);

        public void FlushAll()
        {
            owner.FullFlushes++;
            RandomAccess.FlushToDisk(_handle);
        }

        public T? GetCapability<T>() where T : class => this as T;

        public void Dispose()
        {
            if (_disposed) return;
            _disposed = true;
            _handle.Dispose();
            Interlocked.Decrement(ref owner._open);
        }
    }
}
