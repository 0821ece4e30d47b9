using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Qcow2.Compression;

/// <summary>The few calls of libzstd that reading needs. All are of its stable interface since 1.4.0 (2019).</summary>
internal static unsafe partial class Zstd
{
    private const string Library = "libzstd.so.1";

    [ThreadStatic]
    private static DecompressionContext? t_context;

    /// <summary>Decompresses the first frame, which must hold exactly the cluster; what follows it is ignored.</summary>
    /// <returns>What is wrong with the frame, or null.</returns>
    /// <remarks>Decompressing in one call into the final buffer needs no window, so a hostile frame cannot ask for memory.</remarks>
    public static string? TryDecompress(ReadOnlySpan<byte> compressed, Span<byte> cluster, string image)
    {
        DecompressionContext context = t_context ??= NewContext(image);
        fixed (byte* source = compressed)
        fixed (byte* target = cluster)
        {
            nuint frame = FindFrameCompressedSize(source, (nuint)compressed.Length);
            if (IsError(frame) != 0) return ErrorName(frame);
            nuint got = DecompressFrame(context, target, (nuint)cluster.Length, source, frame);
            if (IsError(got) != 0) return ErrorName(got);
            return got == (nuint)cluster.Length ? null : $"the frame holds {got} of {cluster.Length} bytes";
        }
    }

    private static DecompressionContext NewContext(string image)
    {
        try
        {
            DecompressionContext context = CreateContext();
            return context.IsInvalid ? throw new StorageException(StorageError.OutOfMemory, "ZSTD_createDCtx", image, -1, 0, "no memory") : context;
        }
        catch (Exception missing) when (missing is DllNotFoundException or EntryPointNotFoundException)
        {
            throw new DiagnosticException("SP3014", "the image is compressed with zstd and the system's zstd library cannot be loaded", image,
                Library, missing is DllNotFoundException ? "no such library" : "a library without the functions needed", "install the package libzstd1 (Debian, Ubuntu) or libzstd (Fedora)", missing);
        }
    }

    private static string ErrorName(nuint code) => Marshal.PtrToStringUTF8((nint)GetErrorName(code)) ?? "unknown zstd error";

    [LibraryImport(Library, EntryPoint = "ZSTD_createDCtx")]
    private static partial DecompressionContext CreateContext();

    [LibraryImport(Library, EntryPoint = "ZSTD_freeDCtx")]
    private static partial nuint FreeContext(nint context);

    [LibraryImport(Library, EntryPoint = "ZSTD_findFrameCompressedSize")]
    private static partial nuint FindFrameCompressedSize(byte* source, nuint sourceSize);

    [LibraryImport(Library, EntryPoint = "ZSTD_decompressDCtx")]
    private static partial nuint DecompressFrame(DecompressionContext context, byte* target, nuint capacity, byte* source, nuint sourceSize);

    [LibraryImport(Library, EntryPoint = "ZSTD_isError")]
    private static partial uint IsError(nuint code);

    [LibraryImport(Library, EntryPoint = "ZSTD_getErrorName")]
    private static partial byte* GetErrorName(nuint code);

    /// <summary>One per thread that ever read a zstd cluster (about 160 KiB); freed after the thread by the finalizer.</summary>
    internal sealed class DecompressionContext : SafeHandleZeroOrMinusOneIsInvalid
    {
        public DecompressionContext() : base(ownsHandle: true)
        {
        }

        protected override bool ReleaseHandle()
        {
            _ = FreeContext(handle);
            return true;
        }
    }
}
