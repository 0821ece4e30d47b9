using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Media;

/// <summary>Where a file's bytes lie, as its file system says (FS_IOC_FIEMAP; Documentation/filesystems/fiemap.rst).</summary>
internal static unsafe partial class FileExtents
{
    private const uint MapRequest = 0xC020660B;

    // FIEMAP_EXTENT_LAST and FIEMAP_EXTENT_MERGED say nothing of what a write finds there.
    private const uint Harmless = 0x1 | 0x1000;
    private const int MaxExtents = 4;

    /// <summary>
    /// Whether a write there only takes the place of bytes that are on the device: nothing has to be allocated, copied, or told to be written from now on.
    /// </summary>
    /// <returns>False also where the file system does not say so, or the range lies in many pieces.</returns>
    public static bool IsOverwrite(SafeFileHandle file, long offset, long length)
    {
        var map = new Map { Start = (ulong)offset, Length = (ulong)length, Room = MaxExtents };
        if (Control(file, MapRequest, &map) != 0) return false;
        ulong end = (ulong)offset;
        for (int i = 0; i < Math.Min(map.Found, MaxExtents); i++)
        {
            ref readonly Extent extent = ref map.Extents[i];
            if (extent.Logical > end || (extent.Flags & ~Harmless) != 0) return false;
            end = extent.Logical + extent.Length;
        }

        return end >= (ulong)(offset + length);
    }

    // int ioctl(int, unsigned long, ...): a variadic function that is given a pointer is called like any other on Linux.
    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(SafeFileHandle file, nuint request, Map* map);

    /// <summary>struct fiemap with room for a few.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Map
    {
        public ulong Start;
        public ulong Length;
        public uint Flags;
        public uint Found;
        public uint Room;
        public uint Reserved;
        public ExtentBuffer Extents;
    }

    [System.Runtime.CompilerServices.InlineArray(MaxExtents)]
    private struct ExtentBuffer
    {
        private Extent _first;
    }

    /// <summary>struct fiemap_extent.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Extent
    {
        public ulong Logical;
        public ulong Physical;
        public ulong Length;
        public ulong Reserved0;
        public ulong Reserved1;
        public uint Flags;
        public uint Reserved2;
        public uint Reserved3;
        public uint Reserved4;
    }
}
