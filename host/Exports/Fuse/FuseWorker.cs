using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>One thread of a mount: its descriptor of the device, its two buffers, and the loop that reads, answers and replies.</summary>
/// <remarks>Nothing is allocated for a request.</remarks>
internal sealed unsafe class FuseWorker : IDisposable
{
    // Payloads lie on page boundaries, the headers right in front of them: what copies them copies aligned.
    private const int PageBytes = 4096;
    private const int BufferBytes = PageBytes + FuseProtocol.MaxPayloadBytes + PageBytes;

    /// <summary>From this size on a read is likely to be read-ahead, which nobody waits for yet.</summary>
    private const int ReadAheadBytes = 64 * 1024;

    private static readonly int s_requestStart = PageBytes - sizeof(FuseRequestHeader) - sizeof(WriteRequest);
    private static readonly int s_replyStart = PageBytes - sizeof(FuseReplyHeader);

    private readonly SafeFileHandle _device;
    private readonly FuseDispatcher _dispatcher;
    private readonly byte* _requests = (byte*)NativeMemory.AlignedAlloc(BufferBytes, PageBytes);
    private readonly byte* _replies = (byte*)NativeMemory.AlignedAlloc(BufferBytes, PageBytes);
    private readonly DirectoryListing _listing;
    private readonly ThreadBinding _binding = new();

    /// <param name="device">A descriptor of the connection; the caller's.</param>
    /// <param name="dispatcher">Answers.</param>
    public FuseWorker(SafeFileHandle device, FuseDispatcher dispatcher)
    {
        _device = device;
        _dispatcher = dispatcher;
        _listing = new DirectoryListing(Payload);
        HasMore = Poll;
    }

    private byte* Payload => _replies + PageBytes;

    private ref FuseRequestHeader Received => ref *(FuseRequestHeader*)(_requests + s_requestStart);

    /// <summary>Waits for a request.</summary>
    /// <param name="error">Why there is none: an error number.</param>
    /// <returns>Its bytes; 0 with an error.</returns>
    public int Receive(out int error)
    {
        nint received = FuseCalls.Read(_device, _requests + s_requestStart, (nuint)(BufferBytes - s_requestStart));
        error = received >= 0 ? 0 : Marshal.GetLastPInvokeError();
        return received >= 0 ? (int)received : 0;
    }

    /// <summary>Whether another request waits already.</summary>
    public Func<bool> HasMore { get; }

    /// <summary>What is known of the request that was received, before it is answered.</summary>
    /// <param name="bytes">Its bytes.</param>
    public (FuseOpcode Opcode, uint Caller, bool CallerWaits) Look(int bytes) =>
        bytes < sizeof(FuseRequestHeader) ? default : (Received.Opcode, Received.ProcessId, CallerWaits(bytes));

    /// <summary>Runs the calling thread where it is said to run.</summary>
    public void MoveTo(int processor) => _binding.MoveTo(processor);

    /// <summary>Answers the request that was received; more than once, where an answer is to be thought over.</summary>
    /// <param name="bytes">Its bytes.</param>
    /// <returns>To be sent.</returns>
    public FuseAnswer Serve(int bytes)
    {
        if (!TryParse(bytes, out FuseRequestHeader header, out ReadOnlySpan<byte> body)) return FuseAnswer.None;
        var call = new FuseCall(header, body, new Span<byte>(Payload, FuseProtocol.MaxPayloadBytes));
        int error = _dispatcher.Serve(ref call, _listing);
        return new FuseAnswer(header.Unique, error, call.ReplyLength, call.MayFindSpaceLater);
    }

    /// <summary>Sends the answer to the request that was received.</summary>
    /// <returns>0, or the error number with which the kernel refused the reply.</returns>
    public int Send(in FuseAnswer answer) => answer.Error == FuseDispatcher.NoReply ? 0 : Reply(answer.Unique, answer.Error, answer.PayloadBytes);

    /// <summary>The header and body of what was received.</summary>
    /// <returns>False when it is no request: shorter than a header, or than it says.</returns>
    public bool TryParse(int bytes, out FuseRequestHeader header, out ReadOnlySpan<byte> body)
    {
        var request = new ReadOnlySpan<byte>(_requests + s_requestStart, bytes);
        body = default;
        if (!MemoryMarshal.TryRead(request, out header) || header.Length != (uint)bytes) return false;
        body = request[sizeof(FuseRequestHeader)..];
        return true;
    }

    /// <summary>Sends a reply whose payload is in place.</summary>
    /// <returns>0, or the error number with which the kernel refused it.</returns>
    public int Reply(ulong unique, int error, int payloadBytes)
    {
        int length = sizeof(FuseReplyHeader) + payloadBytes;
        *(FuseReplyHeader*)(_replies + s_replyStart) = new FuseReplyHeader { Length = (uint)length, Error = -error, Unique = unique };
        return FuseCalls.Write(_device, _replies + s_replyStart, (nuint)length) >= 0 ? 0 : Marshal.GetLastPInvokeError();
    }

    /// <summary>Sends a reply.</summary>
    public int Reply<T>(ulong unique, in T payload) where T : unmanaged
    {
        *(T*)Payload = payload;
        return Reply(unique, 0, sizeof(T));
    }

    private bool Poll()
    {
        var entry = new FuseCalls.PollEntry { Descriptor = (int)_device.DangerousGetHandle(), Wanted = FuseCalls.PollEntry.Readable };
        return FuseCalls.Poll(&entry, 1, 0) > 0;
    }

    // All but read-ahead, write-back and asynchronous direct I/O, of which a thread can have several, and what nobody waits for.
    private bool CallerWaits(int bytes)
    {
        if (ReturningSpace.IsGivenBackBy(Received.Opcode)) return false;
        switch (Received.Opcode)
        {
            case FuseOpcode.Read:
                return bytes >= sizeof(FuseRequestHeader) + sizeof(ReadRequest) && Body<ReadRequest>()->Size < ReadAheadBytes && (Body<ReadRequest>()->Flags & FuseProtocol.OpenDirect) == 0;
            case FuseOpcode.Write:
                return bytes >= sizeof(FuseRequestHeader) + sizeof(WriteRequest) && (Body<WriteRequest>()->WriteFlags & FuseProtocol.WriteFromCache) == 0 && (Body<WriteRequest>()->Flags & FuseProtocol.OpenDirect) == 0;
            default:
                return true;
        }
    }

    private T* Body<T>() where T : unmanaged => (T*)(_requests + s_requestStart + sizeof(FuseRequestHeader));

    public void Dispose()
    {
        NativeMemory.AlignedFree(_requests);
        NativeMemory.AlignedFree(_replies);
    }
}

/// <summary>An answer whose payload lies in its worker's buffer.</summary>
/// <param name="Unique">The request's number.</param>
/// <param name="Error">0, an error number, or <see cref="FuseDispatcher.NoReply"/>.</param>
/// <param name="PayloadBytes">Bytes behind the header.</param>
/// <param name="MayFindSpaceLater">There was no space and nothing was changed.</param>
internal readonly record struct FuseAnswer(ulong Unique, int Error, int PayloadBytes, bool MayFindSpaceLater = false)
{
    /// <summary>To what is no request.</summary>
    public static FuseAnswer None => new(0, FuseDispatcher.NoReply, 0);
}
