using System.ComponentModel.DataAnnotations;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;
using StoragePlugins.BarrierFS.Kernel;
using StoragePlugins.Tests;

namespace StoragePlugins.BarrierFS.Tests;

/// <summary>A medium with abilities that a test gives it.</summary>
internal sealed class CapableMedium : MemoryMedium, IBarrierMedium, IWriteCacheMedium, IFileMedium, INonBlockingMedium
{
    public bool HasBarrier { get; init; }

    public WriteCacheKind? Cache { get; init; }

    public SafeFileHandle? File { get; init; }

    public SafeFileHandle Handle => File!;

    public string Path => "/dev/null";

    public WriteCacheKind WriteCache => Cache!.Value;

    public void Barrier()
    {
        Before?.Invoke("barrier");
        Log.Add("barrier");
    }

    public bool TryRead(long offset, Span<byte> buffer) => Read(offset, buffer) == buffer.Length;

    protected override bool Offers(Type capability)
        => capability == typeof(IBarrierMedium) ? HasBarrier
            : capability == typeof(IWriteCacheMedium) ? Cache is not null
            : capability == typeof(IFileMedium) ? File is not null
            : base.Offers(capability);
}

/// <summary>A kernel that answers as it is told and remembers what it was asked.</summary>
internal sealed class FakeKernel : IKernel
{
    public List<string> Calls { get; } = [];

    public bool IsLinuxX64 { get; init; } = true;

    public string Release { get; init; } = "3.10.61";

    public string[] Symbols { get; init; } = ["sys_fbarrier", "sys_fdatabarrier"];

    /// <summary>The answer for descriptor −1.</summary>
    public SyscallResult Probe { get; init; } = new(-1, SyscallResult.EBadF);

    /// <summary>The answers for files; the last one stays.</summary>
    public Queue<SyscallResult> Answers { get; } = new([new SyscallResult(0, 0)]);

    /// <summary>Where calls on files are logged among the writes.</summary>
    public List<string>? Order { get; set; }

    public bool HasSymbol(string name) => Symbols.Contains(name);

    public SyscallResult Call(long number, nint first, nint second, nint third, nint fourth, nint fifth, nint sixth)
    {
        Calls.Add($"{number}({first}, {second}, {third}, {fourth}, {fifth}, {sixth})");
        return Probe;
    }

    public SyscallResult Call(long number, SafeFileHandle file, nint second, nint third, nint fourth, nint fifth, nint sixth)
    {
        Calls.Add($"{number}(file {file.DangerousGetHandle()}, {second}, {third}, {fourth}, {fifth}, {sixth})");
        Order?.Add("fdatabarrier");
        return Answers.Count > 1 ? Answers.Dequeue() : Answers.Peek();
    }
}

/// <summary>Keeps what is logged.</summary>
internal sealed class ListLogger : ILogger
{
    public List<string> Lines { get; } = [];

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        => Lines.Add($"{logLevel}: {formatter(state, exception)}");
}

internal static class Attach
{
    public static IOrderedMedium With(
        IStorageMedium medium, BarrierMode mode, int? syscall = null, IKernel? kernel = null, StorageMeter? meter = null, ILogger? logger = null, long queue = 64 << 20)
    {
        var options = new BarrierOptions { Mode = mode, Syscall = syscall, Queue = queue };
        return new BarrierOrdering(kernel ?? new FakeKernel { Release = "6.18.44", Symbols = [] }).Attach(
            medium, new StrategyContext(options, meter ?? new StorageMeter(), logger ?? NullLogger.Instance));
    }

    public static IReadOnlyList<string> Violations(BarrierOptions options)
    {
        var results = new List<ValidationResult>();
        Validator.TryValidateObject(options, new ValidationContext(options), results, validateAllProperties: true);
        return [.. results.Select(result => result.ErrorMessage ?? "")];
    }
}

/// <summary>Leaves out the note on the mode.</summary>
internal sealed class OnlyErrors(ILogger inner) : ILogger
{
    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel)) inner.Log(logLevel, eventId, state, exception, formatter);
    }
}
