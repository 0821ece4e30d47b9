namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>The files that programs have open, by the handles that the kernel was given.</summary>
/// <remarks>
/// <para>Thread-safe. Opening and closing take a lock; a read or write looks its handle up without one and allocates nothing.</para>
/// <para>Handles are checked: one that was never given, or given back, is nobody's.</para>
/// </remarks>
internal sealed class OpenFiles(IFileTree tree)
{
    /// <summary>Open files at most: 64 MiB of bookkeeping here. The kernel's own limits lie below it on most machines.</summary>
    public const int MaxOpen = 1 << 20;

    private readonly Lock _changing = new();
    private readonly Dictionary<ulong, OpenFile> _byNode = [];
    private readonly Stack<int> _free = new();
    private volatile OpenFile?[] _byHandle = new OpenFile?[64];
    private int _handles;
    private int _privilegesEpoch;

    /// <summary>Handles that are open now.</summary>
    public int Count
    {
        get
        {
            lock (_changing) return _handles - _free.Count;
        }
    }

    /// <summary>Opens a file.</summary>
    /// <returns>False when too many are open.</returns>
    public bool TryOpen(ulong node, bool forWriting, out ulong handle)
    {
        lock (_changing)
        {
            handle = 0;
            if (!_free.TryPop(out int slot))
            {
                if (_handles == MaxOpen) return false;
                slot = _handles++;
                if (slot == _byHandle.Length)
                {
                    OpenFile?[] larger = new OpenFile?[slot * 2];
                    _byHandle.CopyTo(larger, 0);
                    _byHandle = larger;
                }
            }

            if (!_byNode.TryGetValue(node, out OpenFile? file)) _byNode[node] = file = new OpenFile(node);
            file.Users++;
            if (forWriting) file.Writers++;
            _byHandle[slot] = file;
            handle = HandleOf(slot, forWriting);
            return true;
        }
    }

    /// <summary>The file of a handle; null for one that is nobody's.</summary>
    public OpenFile? Find(ulong handle, ulong node)
    {
        OpenFile?[] files = _byHandle;
        ulong slot = handle >> 1;
        return slot < (ulong)files.Length && Volatile.Read(ref files[slot]) is { } file && file.Node == node ? file : null;
    }

    /// <summary>Closes a handle; tells the tree when it was the last that could write.</summary>
    /// <returns>False when it is nobody's.</returns>
    public bool Close(ulong handle, ulong node)
    {
        lock (_changing)
        {
            if (Find(handle, node) is not { } file) return false;
            bool wasForWriting = (handle & 1) != 0;
            _byHandle[(int)(handle >> 1)] = null;
            _free.Push((int)(handle >> 1));
            if (--file.Users == 0) _byNode.Remove(node);
            // Under the lock: who opens it for writing meanwhile comes after.
            if (wasForWriting && --file.Writers == 0) tree.Closed(node);
            return true;
        }
    }

    /// <summary>Some file was given setuid, setgid or a capability: what is known of the open ones is to be asked for again.</summary>
    public void PrivilegesChanged() => Interlocked.Increment(ref _privilegesEpoch);

    /// <summary>What a write has to take away from the file.</summary>
    public FilePrivileges PrivilegesOf(OpenFile file)
    {
        int epoch = Volatile.Read(ref _privilegesEpoch);
        if (file.TryGetPrivileges(epoch, out FilePrivileges known)) return known;
        FilePrivileges now = PrivilegeRemoval.Inspect(tree, file.Node);
        file.SetPrivileges(epoch, now);
        return now;
    }

    // Bit 0 says how it was opened: the flags in RELEASE are the kernel's word, the handle is ours.
    private static ulong HandleOf(int slot, bool forWriting) => ((ulong)slot << 1) | (forWriting ? 1UL : 0);
}

/// <summary>A node that is open at least once.</summary>
internal sealed class OpenFile(ulong node)
{
    // Epoch in the upper half, privileges in the lower; -1 for "not known".
    private long _privileges = -1;

    /// <summary>The tree's number of it.</summary>
    public ulong Node { get; } = node;

    /// <summary>Handles of it; guarded by <see cref="OpenFiles"/>.</summary>
    internal int Users { get; set; }

    /// <summary>Handles that can write; guarded by <see cref="OpenFiles"/>.</summary>
    internal int Writers { get; set; }

    internal bool TryGetPrivileges(int epoch, out FilePrivileges privileges)
    {
        long known = Volatile.Read(ref _privileges);
        privileges = (FilePrivileges)(int)known;
        return known >= 0 && (int)(known >> 32) == (epoch & int.MaxValue);
    }

    internal void SetPrivileges(int epoch, FilePrivileges privileges) => Volatile.Write(ref _privileges, ((long)(epoch & int.MaxValue) << 32) | (uint)privileges);
}
