using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Media.Mapping;

/// <summary>Maps files, and finds out what such a mapping promises.</summary>
internal static unsafe class FileMapping
{
    /// <summary>Alignment of a mapping's address: that of the large pages of x86-64, so that DAX can use them.</summary>
    private const long AddressAlignment = 2L << 20;

    /// <summary>Maps a file or DAX device from its first byte.</summary>
    /// <exception cref="DiagnosticException">SP5021–SP5026.</exception>
    public static MappedMemory Map(FileMedium medium, SafeFileHandle file, StorageMeter meter, MappingRequest request)
    {
        SigbusGuard.ThrowIfUnsupported();
        UnixFileStatus? status = UnixFile.Status(medium.Path);
        (long Length, long Alignment)? dax = status is { IsCharacterDevice: true } device ? DaxDevice.Describe(device.OwnDevice) : null;
        long pageBytes = dax?.Alignment ?? Environment.SystemPageSize;
        // A DAX device is mapped in its own units and never grows.
        long capacity = dax is { } whole ? whole.Length / pageBytes * pageBytes : RoundUp(Math.Max(request.Capacity, medium.Length), pageBytes);
        if (capacity == 0) throw CannotMap(medium, "it is empty");
        RefuseOrdinaryMemory(medium, file, request);

        (nint address, bool isSynchronous) = MapAligned(medium, file, (nint)capacity, (nint)Math.Max(pageBytes, AddressAlignment));
        try
        {
            PersistenceDomain given = !isSynchronous ? PersistenceDomain.Msync
                : status is { } known && DaxDevice.FlushesCaches(known.IsCharacterDevice ? known.OwnDevice : known.Device, known.IsCharacterDevice) ? PersistenceDomain.Eadr
                : PersistenceDomain.Adr;
            bool isMemory = IsOrdinaryMemory(file);
            // Memory that stands in for persistent memory is to take the same way through the code as the real one.
            PersistenceDomain domain = request.Domain ?? (isMemory ? PersistenceDomain.Adr : given);
            if (domain > given && !request.Emulated) throw TooStrong(medium, domain, given);
            return new MappedMemory(medium, address, (nint)capacity, (nint)pageBytes, domain, isMemory || domain > given || domain == PersistenceDomain.None, meter);
        }
        catch
        {
            _ = MappingCalls.Unmap(address, (nint)capacity);
            throw;
        }
    }

    private static (nint Address, bool IsSynchronous) MapAligned(FileMedium medium, SafeFileHandle file, nint capacity, nint alignment)
    {
        nint reserved = MappingCalls.MapMemory(
            0, capacity + alignment, MappingCalls.ProtNone, MappingCalls.MapPrivate | MappingCalls.MapAnonymous | MappingCalls.MapNoReserve, -1, 0);
        if (reserved == MappingCalls.Failed) throw CannotMap(medium, Libc.ErrorText(Marshal.GetLastPInvokeError()));
        nint start = (nint)RoundUp(reserved, alignment);
        int protection = medium.IsReadOnly ? MappingCalls.ProtRead : MappingCalls.ProtRead | MappingCalls.ProtWrite;
        // EOPNOTSUPP says: not on DAX. An older kernel says EINVAL; whatever else is wrong the second call reports.
        nint mapped = MappingCalls.Map(start, capacity, protection, MappingCalls.MapSharedValidate | MappingCalls.MapSync | MappingCalls.MapFixed, file, 0);
        bool isSynchronous = mapped != MappingCalls.Failed;
        if (!isSynchronous) mapped = MappingCalls.Map(start, capacity, protection, MappingCalls.MapShared | MappingCalls.MapFixed, file, 0);
        if (mapped == MappingCalls.Failed)
        {
            int errno = Marshal.GetLastPInvokeError();
            _ = MappingCalls.Unmap(reserved, capacity + alignment);
            throw CannotMap(medium, Libc.ErrorText(errno));
        }

        if (start > reserved) _ = MappingCalls.Unmap(reserved, start - reserved);
        nint end = start + capacity;
        if (reserved + capacity + alignment > end) _ = MappingCalls.Unmap(end, reserved + capacity + alignment - end);
        return (start, isSynchronous);
    }

    private static void RefuseOrdinaryMemory(FileMedium medium, SafeFileHandle file, MappingRequest request)
    {
        if (request.Emulated || !IsOrdinaryMemory(file)) return;
        throw new DiagnosticException(
            "SP5021", "the file lies in ordinary memory, where nothing survives a power cut", medium.Name, expected: "a file on DAX, a DAX device, or a file on a disk",
            found: "a file system in memory", fix: "say \"emulated\": true to try it out with data that may be lost");
    }

    private static bool IsOrdinaryMemory(SafeFileHandle file)
    {
        Libc.StatFsBuffer fileSystem;
        return Libc.FStatFs(file, &fileSystem) == 0 && fileSystem.Type is Libc.TmpfsMagic or MappingCalls.RamfsMagic or MappingCalls.HugetlbfsMagic;
    }

    private static DiagnosticException TooStrong(FileMedium medium, PersistenceDomain asked, PersistenceDomain given) => new(
        "SP5022", "the mapping does not give the persistence domain that is configured", medium.Name, expected: Name(asked), found: Name(given),
        fix: $"say \"persistenceDomain\": \"{Name(given)}\" or \"auto\", or put the file on a DAX file system (\"emulated\": true accepts the loss of data)");

    private static DiagnosticException CannotMap(FileMedium medium, string reason) => new(
        "SP5023", "the file cannot be mapped into memory", medium.Name, found: reason,
        fix: "check its length, and the limit of address space (ulimit -v)");

    private static string Name(PersistenceDomain domain) => domain.ToString().ToLowerInvariant();

    private static long RoundUp(long value, long unit) => (value + unit - 1) / unit * unit;
}
