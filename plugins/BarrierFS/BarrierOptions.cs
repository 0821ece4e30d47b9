using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using StoragePlugins.BarrierFS.Kernel;

namespace StoragePlugins.BarrierFS;

/// <summary>How order is bought.</summary>
public enum BarrierMode
{
    /// <summary>The cheapest that is positively known to work: device barrier, kernel, write-through, else deferred.</summary>
    Auto = 0,

    /// <summary><c>fdatabarrier(2)</c> of a BarrierFS kernel.</summary>
    Kernel,

    /// <summary>Later epochs stay in memory until the earlier ones are durable.</summary>
    Deferred,

    /// <summary>A device that says that it has no volatile cache.</summary>
    WriteThrough,
}

/// <summary>Options of the ordering <c>barrierfs</c>.</summary>
public sealed class BarrierOptions : IValidatableObject
{
    /// <summary>One write of the largest piece must fit beside others.</summary>
    private const long MinQueue = 1L << 20;

    /// <summary>More than this is lost to the guest as memory long before it is useful: it is what a crash of the process loses.</summary>
    private const long MaxQueue = 1L << 30;

    /// <summary>How order is bought.</summary>
    [Description("How order is bought; auto takes the cheapest that is positively known to work and says which.")]
    public BarrierMode Mode { get; set; }

    /// <summary>The number of fdatabarrier(2); null: kernel mode is not used.</summary>
    [Description("Number of fdatabarrier(2) in the running kernel; 315 on the x86-64 kernel of BarrierFS. Without it kernel mode is not used.")]
    [Range(FirstSyscall, LastSyscall)]
    public int? Syscall { get; set; }

    /// <summary>Bytes that deferred mode holds back at most.</summary>
    [Description("Memory for writes that deferred mode holds back; a write waits when it is full.")]
    [Range(MinQueue, MaxQueue)]
    public long Queue { get; set; } = 64L << 20;

    internal const int FirstSyscall = BarrierCall.FirstUnassigned;
    internal const int LastSyscall = BarrierCall.LastAccepted;

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Syscall is { } number && BarrierCall.WhyNever(number) is { } reason) yield return new ValidationResult($"syscall {number} is never called: {reason}");
    }
}
