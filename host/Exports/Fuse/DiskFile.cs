using StoragePlugins.Host.Disks;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>Whose an image file is.</summary>
/// <param name="UserId">Owner.</param>
/// <param name="GroupId">Group.</param>
/// <param name="Permissions">Who may read and write it.</param>
internal sealed record ImageOwner(uint UserId, uint GroupId, uint Permissions);

/// <summary>The live disk with its attributes as a file.</summary>
/// <remarks>Thread-safe.</remarks>
internal sealed class DiskFile
{
    private const uint ReadAndWrite = 0x1B6; // rw-rw-rw-
    private const uint ReadOnly = 0x124; // r--r--r--

    private readonly Lock _changing = new();
    private readonly IResizableDisk? _resizable;
    private readonly uint _readOnlyPermissions;
    private uint _permissions;
    private uint _userId;
    private uint _groupId;
    private long _accessTime;
    private long _modificationTime;
    private long _changeTime;

    public DiskFile(ServedDisk disk, IResizableDisk? resizable, ImageOwner owner, long now)
    {
        (Disk, _resizable, _userId, _groupId) = (disk, resizable, owner.UserId, owner.GroupId);
        _readOnlyPermissions = owner.Permissions & ReadOnly;
        _permissions = disk.IsReadOnly ? _readOnlyPermissions : owner.Permissions & ReadAndWrite;
        _accessTime = _modificationTime = _changeTime = now;
    }

    /// <summary>The disk.</summary>
    public ServedDisk Disk { get; }

    /// <summary>For the files beside it that can only be read.</summary>
    public uint ReadOnlyPermissions => _readOnlyPermissions;

    /// <summary>The content changed.</summary>
    public void Touch()
    {
        long now = MountedTree.Now;
        Volatile.Write(ref _modificationTime, now);
        Volatile.Write(ref _changeTime, now);
    }

    /// <summary>Fills in what is its own.</summary>
    public void Describe(ref NodeAttributes attributes)
    {
        lock (_changing)
        {
            attributes.Mode = ((uint)NodeKind.File << 12) | _permissions;
            (attributes.UserId, attributes.GroupId) = (_userId, _groupId);
            attributes.AccessTime = _accessTime;
        }

        attributes.Size = Disk.Length;
        attributes.ModificationTime = Volatile.Read(ref _modificationTime);
        attributes.ChangeTime = Volatile.Read(ref _changeTime);
    }

    /// <summary>Changes attributes and length.</summary>
    public FileError Change(in AttributeChange change)
    {
        lock (_changing)
        {
            if (change.Size is { } size && size != Disk.Length)
            {
                FileError error = Resize(size);
                if (error != FileError.None) return error;
                Touch();
            }

            _permissions = change.Permissions ?? _permissions;
            _userId = change.UserId ?? _userId;
            _groupId = change.GroupId ?? _groupId;
            _accessTime = change.AccessTime ?? _accessTime;
            if (change.ModificationTime is { } time) Volatile.Write(ref _modificationTime, time);
            Volatile.Write(ref _changeTime, MountedTree.Now);
            return FileError.None;
        }
    }

    // The disk waits for requests under way and makes the new length durable.
    private FileError Resize(long size)
    {
        if (_resizable is null) return FileError.NotPermitted;
        if (Disk.Poison is { } poison) throw poison;
        try
        {
            _resizable.Resize(size);
            return FileError.None;
        }
        catch (DiagnosticException)
        {
            // Not a multiple of the format's unit, too large, or in the way of its snapshots.
            return FileError.InvalidArgument;
        }
        catch (DurabilityLostException lost)
        {
            Disk.SetPoison(lost);
            throw;
        }
    }
}
