namespace StoragePlugins.PmFileSystem;

/// <summary>An open regular file of a <see cref="PmFileSystem"/>. Thread-safe. It lives until it is disposed, also when its name is gone.</summary>
/// <remarks>Offsets and lengths are bytes. Every call is durable when it returns. Errors as <see cref="PmFileSystem"/>.</remarks>
public sealed class PmFile : IDisposable
{
    private readonly PmTree _tree;
    private readonly ulong _node;
    private readonly string _path;
    private bool _isDisposed;

    internal PmFile(PmTree tree, ulong node, string path) => (_tree, _node, _path) = (tree, node, path);

    /// <summary>Its size.</summary>
    public long Length
    {
        get
        {
            FileErrors.ThrowIf(_tree.GetAttributes(_node, out NodeAttributes attributes), "stat", _path);
            return attributes.Size;
        }
    }

    /// <summary>Reads until the buffer is full or the file ends. Returns the number of bytes.</summary>
    public int Read(long offset, Span<byte> buffer)
    {
        FileErrors.ThrowIf(_tree.Read(_node, offset, buffer, out int read), "read", _path);
        return read;
    }

    /// <summary>Writes all of it, growing the file where it ends behind its end. The size never shows bytes that are not there; bytes over others are in place.</summary>
    public void Write(long offset, ReadOnlySpan<byte> data) => FileErrors.ThrowIf(_tree.Write(_node, offset, data), "write", _path);

    /// <summary>Writes behind the end; of several at once each gets a place of its own. Returns where.</summary>
    public long Append(ReadOnlySpan<byte> data)
    {
        FileErrors.ThrowIf(_tree.Append(_node, data, out long offset), "append", _path);
        return offset;
    }

    /// <summary>Cuts the file, or lengthens it with zeros that take no space.</summary>
    public void SetLength(long length)
    {
        var change = new AttributeChange { Size = length };
        FileErrors.ThrowIf(_tree.SetAttributes(_node, change, out _), "truncate", _path);
    }

    /// <summary>Waits for nothing: everything is durable. Throws when a fence failed before.</summary>
    public void Flush() => FileErrors.ThrowIf(_tree.Flush(_node), "flush", _path);

    /// <summary>The file as a stream with a position of its own. Disposing the stream leaves the file open.</summary>
    public Stream AsStream() => new PmFileStream(this, canWrite: !_tree.IsReadOnly);

    /// <summary>Closes it. Space set aside for its growth is given back.</summary>
    public void Dispose()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        _tree.Closed(_node);
        _tree.Forget(_node, 1);
    }
}
