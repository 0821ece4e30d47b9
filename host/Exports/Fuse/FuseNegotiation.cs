using System.Runtime.InteropServices;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>How a mount is served.</summary>
/// <param name="Threads">1 or more; started when they are needed.</param>
/// <param name="WritebackCache">Whether written pages may wait in the kernel.</param>
internal sealed record FuseSessionOptions(int Threads, WritebackCache WritebackCache = WritebackCache.Auto)
{
    /// <summary>More would only wait for each other: the kernel has <see cref="FuseProtocol.MaxBackground"/> background requests under way.</summary>
    public const int MaxThreads = FuseProtocol.MaxBackground;
}

/// <summary>Whether written pages may wait in the kernel before the server hears of them.</summary>
internal enum WritebackCache
{
    /// <summary>Where something can be written that need not be durable when the write returns.</summary>
    Auto = 0,

    /// <summary>Always, also where it breaks that promise.</summary>
    On,

    /// <summary>Never.</summary>
    Off,
}

/// <summary>The first message: which version and which abilities.</summary>
internal static class FuseNegotiation
{
    private const FuseFeatures Wanted =
        FuseFeatures.AsyncRead | FuseFeatures.AtomicTruncate | FuseFeatures.BigWrites | FuseFeatures.ReadDirectoryPlus | FuseFeatures.ReadDirectoryPlusAuto
        | FuseFeatures.AsyncDirectIo | FuseFeatures.ParallelDirectoryOperations | FuseFeatures.MaxPages | FuseFeatures.CacheSymbolicLinks
        | FuseFeatures.NoOpenDirectory | FuseFeatures.HandleKillPrivilegesV2 | FuseFeatures.Extended
        | FuseFeatures.DirectIoMappings;

    /// <summary>The kernel's version; zeros when the message is too short.</summary>
    public static (uint Major, uint Minor) VersionOf(ReadOnlySpan<byte> body) => Parse(body) is { } request ? (request.Major, request.Minor) : default;

    /// <summary>The answer to INIT.</summary>
    /// <param name="body">The message.</param>
    /// <param name="mounted">Is told what the kernel does with written pages.</param>
    /// <param name="options">What is wanted.</param>
    /// <returns>The answer, and whether it settles the matter: not with a newer major version, which asks again, and not with one too old.</returns>
    public static (InitReply Reply, bool Agreed) Answer(ReadOnlySpan<byte> body, MountedTree mounted, FuseSessionOptions options)
    {
        var reply = new InitReply { Major = FuseProtocol.Major, Minor = FuseProtocol.Minor };
        if (Parse(body) is not { } request || request.Major != FuseProtocol.Major || request.Minor < FuseProtocol.MinMinor) return (reply, false);
        var offered = (FuseFeatures)request.Features;
        if ((offered & FuseFeatures.Extended) != 0) offered |= (FuseFeatures)((ulong)request.MoreFeatures << 32);
        FuseFeatures wanted = Wanted;
        if (options.WritebackCache == WritebackCache.On || (options.WritebackCache == WritebackCache.Auto && !mounted.IsDurableOnReturn && !mounted.Tree.IsReadOnly)) wanted |= FuseFeatures.WritebackCache;
        FuseFeatures agreed = offered & wanted;
        mounted.HasWritebackCache = (agreed & FuseFeatures.WritebackCache) != 0;
        mounted.WritesDirectly = !mounted.HasWritebackCache && (agreed & FuseFeatures.DirectIoMappings) != 0 && request.Minor >= FuseProtocol.MinorOfCoherentDirectIo;
        reply.Features = (uint)agreed;
        reply.MoreFeatures = (uint)((ulong)agreed >> 32);
        reply.MaxReadAhead = FuseProtocol.MaxPayloadBytes;
        reply.MaxWrite = FuseProtocol.MaxPayloadBytes;
        reply.MaxPages = FuseProtocol.MaxPages;
        reply.MaxBackground = FuseProtocol.MaxBackground;
        reply.CongestionThreshold = FuseProtocol.CongestionThreshold;
        reply.TimeGranularity = 1;
        return (reply, true);
    }

    // Older kernels send less: what is missing is zero.
    private static InitRequest? Parse(ReadOnlySpan<byte> body)
    {
        if (body.Length < InitRequest.MinBytes) return null;
        InitRequest request = default;
        Span<byte> bytes = MemoryMarshal.AsBytes(new Span<InitRequest>(ref request));
        body[..Math.Min(body.Length, bytes.Length)].CopyTo(bytes);
        return request;
    }
}
