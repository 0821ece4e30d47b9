using System.Buffers.Text;
using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>
/// Finds the processor of the program that a mount works for, as long as it is one program that waits for each answer, so that the thread that serves it goes there.
/// </summary>
/// <remarks>
/// <para>What a small request costs is waking up. On one processor the server goes on as the caller goes to sleep; on two, each waits for the other processor to
/// notice, or for its turn where that one is busy (docs/mount.md has the figures). The scheduler finds this out too, but only on an idle machine and after
/// some thousand requests.</para>
/// <para>Known only while the last <see cref="Streak"/> requests came from one thread and each was of a kind that its caller waits for; with several callers, or
/// with read-ahead and write-back, the scheduler knows better. A caller that moves is followed within a streak.</para>
/// <para>Thread-safe; the figures are hints, so that races only make a streak longer or shorter.</para>
/// </remarks>
internal sealed class CallerPlacement : IDisposable
{
    /// <summary>Any processor.</summary>
    public const int Anywhere = -1;

    /// <summary>Requests before the caller is looked for, and looked for again: that takes a few µs, which so many share.</summary>
    public const int Streak = 64;

    private const int StatusBytes = 1024;

    /// <summary>In /proc/PID/stat: "processor" is field 39 of proc(5), and the first behind the command's name is field 3.</summary>
    private const int ProcessorField = 39 - 3;

    private readonly Lock _looking = new();
    private volatile int _processor = Anywhere;
    private uint _caller;
    private int _streak;
    private SafeFileHandle? _status;
    private uint _statusOf;

    /// <summary>Where the serving thread is to run.</summary>
    public int Processor => _processor;

    /// <summary>The thread whose request came last.</summary>
    public uint Caller => _caller;

    /// <summary>A request came.</summary>
    /// <param name="caller">The thread that it is of; 0 when it is nobody's.</param>
    /// <param name="isWaiting">It waits for the answer.</param>
    public void Observe(uint caller, bool isWaiting)
    {
        if (caller != _caller || caller == 0 || !isWaiting)
        {
            _caller = caller;
            _streak = 0;
            _processor = Anywhere;
            return;
        }

        if (++_streak < Streak) return;
        _streak = 0;
        Look(caller);
    }

    public void Dispose()
    {
        lock (_looking) _status?.Dispose();
    }

    /// <summary>The processor that a line of /proc/PID/stat names.</summary>
    internal static int ProcessorOf(ReadOnlySpan<byte> status)
    {
        // The command's name may hold anything, also blanks and brackets.
        int nameEnd = status.LastIndexOf((byte)')');
        if (nameEnd < 0) return Anywhere;
        status = status[(nameEnd + 1)..].TrimStart((byte)' ');
        for (int i = 0; i < ProcessorField; i++)
        {
            int blank = status.IndexOf((byte)' ');
            if (blank < 0) return Anywhere;
            status = status[(blank + 1)..];
        }

        return Utf8Parser.TryParse(status, out int processor, out _) && processor >= 0 ? processor : Anywhere;
    }

    private unsafe void Look(uint caller)
    {
        if (!_looking.TryEnter()) return;
        try
        {
            if (_status is null || _statusOf != caller)
            {
                _status?.Dispose();
                _statusOf = caller;
                _status = FuseCalls.Open(string.Create(CultureInfo.InvariantCulture, $"/proc/{caller}/stat"), FuseCalls.OpenCloseOnExec);
            }

            byte* text = stackalloc byte[StatusBytes];
            nint length = _status.IsInvalid ? -1 : FuseCalls.ReadAt(_status, text, StatusBytes, 0);
            _processor = length <= 0 ? Anywhere : ProcessorOf(new ReadOnlySpan<byte>(text, (int)length));
        }
        finally
        {
            _looking.Exit();
        }
    }
}
