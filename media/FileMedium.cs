using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using StoragePlugins.Media.Mapping;

namespace StoragePlugins.Media;

/// <summary>A file or block device, read and written through the page cache, but for larger writes that are flushed at once (<see cref="WriteBehind"/>).</summary>
internal sealed unsafe class FileMedium : IStorageMedium, IFileMedium, IFlushableMedium, IDeallocatingMedium, INonBlockingMedium,
    IPreallocatingMedium, ISparseMedium, IWriteCacheMedium, IMappableMedium, IRemovableMedium, IDelayedStart
{
    /// <summary>Zeros are written in pieces of this size: large enough for one device request, small enough to stay in cache.</summary>
    private const int ZeroBlockBytes = 1 << 20;

    /// <summary>
    /// Where no more than this is written between two flushes, the device begins with a write before its flush comes: while the guest is told, and asks
    /// for the flush, it would be idle. Beyond it the kernel knows better when to write, and what is overwritten before need never be written.
    /// </summary>
    private const long EarlyBytes = 512 << 10;

    /// <summary>Of a write that begins early: from this size on it goes past the page cache.</summary>
    private const int DirectBytes = 16 << 10;

    private static readonly byte[] s_zeros = new byte[ZeroBlockBytes];

    private readonly SafeFileHandle _file;
    private readonly StorageMeter _meter;
    private readonly bool _isInMemory;
    private readonly bool _isBlockDevice;
    private readonly bool _overwritesInPlace;
    private readonly List<MappedMemory> _mappings = [];
    private readonly DirectWriter _directWriter;
    private readonly WriteBehind _behind;
    private readonly Lock _preallocating = new();
    private bool _deviceWritesZeros = true;
    private bool _reservesRoom = true;
    private long _length;
    private long _unflushedBytes;
    private bool _writesEarly;

    public FileMedium(SafeFileHandle file, string name, string path, bool readOnly, StorageMeter meter)
    {
        _file = file;
        _directWriter = new DirectWriter(file);
        _behind = new WriteBehind(_directWriter);
        _meter = meter;
        Name = name;
        Path = path;
        IsReadOnly = readOnly;
        UnixFileStatus? status = UnixFile.Status(path);
        _isBlockDevice = status?.IsBlockDevice ?? false;
        // A DAX device has no end to seek to.
        _length = status is { IsCharacterDevice: true } device && DaxDevice.Describe(device.OwnDevice) is { } dax ? dax.Length : Libc.LSeek(file, 0, Libc.SeekEnd);
        if (_length < 0) throw Failed("lseek", -1, 0, Marshal.GetLastPInvokeError());
        Libc.StatFsBuffer fileSystem;
        long type = Libc.FStatFs(file, &fileSystem) == 0 ? fileSystem.Type : 0;
        _isInMemory = type == Libc.TmpfsMagic;
        _overwritesInPlace = type is Libc.ExtMagic or Libc.XfsMagic;
    }

    public string Name { get; }

    public string Path { get; }

    public bool IsReadOnly { get; }

    /// <remarks>Who has the descriptor may flush or order by it, and would not know of writes that wait elsewhere: from now on there are none.</remarks>
    public SafeFileHandle Handle
    {
        get
        {
            _behind.Stop();
            return _file;
        }
    }

    public long Length => Volatile.Read(ref _length);

    public WriteCacheKind WriteCache => DeviceWriteCache.Of(Path);

    public T? GetCapability<T>() where T : class => this as T;

    public void Remove()
    {
        try
        {
            // What the path names now: another file may have taken the name.
            string? own = File.ResolveLinkTarget($"/proc/self/fd/{_file.DangerousGetHandle()}", returnFinalTarget: false)?.FullName;
            if (own != Path || !File.Exists(Path)) return;
            File.Delete(Path);
            UnixFile.FlushDirectory(System.IO.Path.GetDirectoryName(Path)!);
        }
        catch (Exception e) when (e is IOException and not StorageException or UnauthorizedAccessException)
        {
            throw new StorageException(StorageError.Io, "unlink", Name, -1, 0, e.Message, e);
        }
    }

    public int Read(long offset, Span<byte> buffer)
    {
        _behind.WaitFor(offset, buffer.Length);
        int done = 0;
        try
        {
            while (done < buffer.Length)
            {
                int got = RandomAccess.Read(_file, buffer[done..], offset + done);
                if (got == 0) break;
                done += got;
            }
        }
        catch (IOException e)
        {
            throw Failed("read", offset, buffer.Length, e.HResult, e);
        }

        _meter.CountHostRead(done);
        return done;
    }

    public bool TryRead(long offset, Span<byte> buffer)
    {
        if (_behind.IsUnderWay(offset, buffer.Length)) return false;
        // tmpfs does not know RWF_NOWAIT, and has no device to wait for.
        if (_isInMemory) return Read(offset, buffer) == buffer.Length;
        int done = 0;
        fixed (byte* start = buffer)
        {
            while (done < buffer.Length)
            {
                var vector = new Libc.IoVector { Base = start + done, Length = buffer.Length - done };
                nint got = Libc.PReadV2(_file, &vector, 1, offset + done, Libc.RwfNoWait);
                if (got <= 0) return false;
                done += (int)got;
            }
        }

        _meter.CountHostRead(done);
        return true;
    }

    public void Write(long offset, ReadOnlySpan<byte> data, ContentClass content)
    {
        if (IsReadOnly) throw new StorageException(StorageError.ReadOnly, "write", Name, offset, data.Length, "it was opened read-only");
        bool isEarly = content == ContentClass.GuestData && IsWrittenEarly(data.Length);
        SubmissionPlug? plug = isEarly ? SubmissionPlug.Current : null;
        if (isEarly && data.Length >= DirectBytes && IsOverwrite(offset, data.Length) && _behind.TryWrite(offset, data, isPutOff: plug is not null))
        {
            plug?.Add(_behind, offset, data.Length);
            _meter.CountHostWrite(content, data.Length);
            return;
        }

        _behind.WaitFor(offset, data.Length);
        try
        {
            RandomAccess.Write(_file, data, offset);
        }
        catch (IOException e)
        {
            throw Failed("write", offset, data.Length, e.HResult, e);
        }

        Grow(offset + data.Length);
        _meter.CountHostWrite(content, data.Length);
        // A checkpoint's writes are scattered, and nobody waits for them: were they left to the next flush, whoever asked for that one would.
        if (plug is not null) plug.Add(this, offset, data.Length);
        else if (isEarly || (content == ContentClass.Checkpoint && !_isInMemory)) Start(offset, data.Length);
    }

    /// <remarks>Started only: waiting here would take the file's write error away from the flush, which must report it (fs/sync.c: file_check_and_advance_wb_err).</remarks>
    void IDelayedStart.Start(long offset, int length) => Start(offset, length);

    public void SetLength(long length)
    {
        _behind.WaitFor(0, long.MaxValue);
        try
        {
            RandomAccess.SetLength(_file, length);
        }
        catch (IOException e)
        {
            throw Failed("truncate", length, 0, e.HResult, e);
        }

        Volatile.Write(ref _length, length);
    }

    public void FlushData()
    {
        Drain();
        Sync("fdatasync", Libc.FDataSync(_file));
    }

    public void FlushAll()
    {
        Drain();
        Sync("fsync", Libc.FSync(_file));
    }

    public bool TryPunchHole(long offset, long length)
    {
        if (length <= 0) return true;
        _behind.WaitFor(offset, length);
        return Libc.FAllocate(_file, Libc.FallocPunchHole | Libc.FallocKeepSize, offset, length) == 0;
    }

    public bool TryZeroRange(long offset, long length)
    {
        if (length <= 0) return true;
        _behind.WaitFor(offset, length);
        if (Libc.FAllocate(_file, Libc.FallocZeroRange, offset, length) != 0) return false;
        Grow(offset + length);
        return true;
    }

    public long FreeBytes
    {
        get
        {
            Libc.StatFsBuffer fileSystem;
            return Libc.FStatFs(_file, &fileSystem) == 0 && fileSystem.BlockBytes > 0 ? fileSystem.AvailableBlocks * fileSystem.BlockBytes : long.MaxValue;
        }
    }

    public void Preallocate(long offset, long length)
    {
        _behind.WaitFor(offset, length);
        lock (_preallocating)
        {
            if (_deviceWritesZeros && Libc.FAllocate(_file, Libc.FallocWriteZeroes, offset, length) == 0)
            {
                Grow(offset + length);
                return;
            }

            // An older kernel or a device that cannot will never; no space is another matter.
            if (Marshal.GetLastPInvokeError() is not (Libc.ENoSpace or Libc.EIntr)) _deviceWritesZeros = false;
            if (WriteZerosDirectly(offset, length)) return;
        }

        for (long done = 0; done < length; done += ZeroBlockBytes)
        {
            int piece = (int)Math.Min(ZeroBlockBytes, length - done);
            Write(offset + done, s_zeros.AsSpan(0, piece), ContentClass.Preallocation);
            // On its way now, piece by piece, or the next flush of somebody who waits would have to write all of it.
            Start(offset + done, piece);
        }
    }

    public (long Length, bool IsHole) DescribeRun(long offset)
    {
        long end = Length;
        if (offset >= end) return (0, true);
        // What is on its way to a hole makes data of it when it is there.
        _behind.WaitFor(offset, end - offset);
        long data = Libc.LSeek(_file, offset, Libc.SeekData);
        if (data < 0) return Marshal.GetLastPInvokeError() == Libc.ENxio ? (end - offset, true) : (end - offset, false);
        if (data > offset) return (Math.Min(data, end) - offset, true);
        long hole = Libc.LSeek(_file, offset, Libc.SeekHole);
        return hole <= offset ? (end - offset, false) : (Math.Min(hole, end) - offset, false);
    }

    public IPersistentMemory Map(MappingRequest request)
    {
        // Memory that shows the file would not show what waits elsewhere.
        _behind.Stop();
        MappedMemory mapping = FileMapping.Map(this, _file, _meter, request);
        lock (_mappings) _mappings.Add(mapping);
        return mapping;
    }

    public void Dispose()
    {
        lock (_mappings)
        {
            foreach (MappedMemory mapping in _mappings) mapping.Dispose();
            _mappings.Clear();
        }

        _behind.Dispose();
        _directWriter.Dispose();
        _file.Dispose();
    }

    private bool WriteZerosDirectly(long offset, long length)
    {
        if (_isInMemory) return false;
        // Room first: a write that makes a file longer, or that finds no room yet, shuts out all others of the file until the device has it (ext4, xfs).
        if (_reservesRoom && Libc.FAllocate(_file, 0, offset, length) != 0) _reservesRoom = Marshal.GetLastPInvokeError() is Libc.ENoSpace or Libc.EIntr;
        try
        {
            if (!_directWriter.TryWriteZeros(offset, length)) return false;
        }
        catch (IOException e)
        {
            throw Failed("write", offset, length, e.HResult, e);
        }

        Grow(offset + length);
        _meter.CountHostWrite(ContentClass.Preallocation, length);
        return true;
    }

    private void Grow(long end)
    {
        long seen = Volatile.Read(ref _length);
        while (end > seen)
        {
            long before = Interlocked.CompareExchange(ref _length, end, seen);
            if (before == seen) return;
            seen = before;
        }
    }

    // Hints: what threads count at once may be counted once.
    private bool IsWrittenEarly(int length)
    {
        long unflushed = Volatile.Read(ref _unflushedBytes) + length;
        Volatile.Write(ref _unflushedBytes, unflushed);
        return Volatile.Read(ref _writesEarly) && unflushed <= EarlyBytes;
    }

    private void Start(long offset, int length) => _ = Libc.SyncFileRange(_file, offset, length, Libc.StartWritingRange);

    // Where room must be found first, a write past the page cache waits for it, and costs the flush a commit that the page cache spares it. There may also be
    // none, and nobody would hear of it before the flush.
    private bool IsOverwrite(long offset, int length) =>
        offset + length <= Length && (_isBlockDevice || (_overwritesInPlace && FileExtents.IsOverwrite(_file, offset, length)));

    private void Drain()
    {
        if (_behind.Drain() is not { } failure) return;
        throw Failed("write", failure.Offset, failure.Length, failure.Error == 0 ? Libc.EIo : failure.Error);
    }

    private void Sync(string call, int result)
    {
        int errno = result == 0 ? 0 : Marshal.GetLastPInvokeError();
        // Flushes for what is not a guest's say nothing of how guests write.
        if (Interlocked.Exchange(ref _unflushedBytes, 0) is > 0 and long unflushed) Volatile.Write(ref _writesEarly, !_isInMemory && unflushed <= EarlyBytes);
        _meter.CountHostFlush();
        if (result != 0) throw Failed(call, -1, 0, errno);
    }

    private StorageException Failed(string operation, long offset, long length, int errno, Exception? inner = null) =>
        new(Libc.ToStorageError(errno), operation, Name, offset, length, Libc.ErrorText(errno), inner);
}
