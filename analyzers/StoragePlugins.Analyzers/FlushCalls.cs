using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Operations;

namespace StoragePlugins.Analyzers;

/// <summary>Knows the calls that make data durable or ordered, and how each says that it failed.</summary>
internal sealed class FlushCalls
{
    // The ordering primitive and persistent memory make a failure final themselves: always a DurabilityLostException.
    private static readonly string[] s_final =
        ["IOrderedMedium.Flush", "IOrderedMedium.Barrier", "IVirtualDisk.Flush", "IBarrierDisk.Barrier", "IPersistentMemory.Persist", "IPersistentMemory.Fence"];

    // A medium reports it once, as it was.
    private static readonly string[] s_once = ["IFlushableMedium.FlushData", "IFlushableMedium.FlushAll", "IBarrierMedium.Barrier"];

    private readonly ContractMethods _final;
    private readonly ContractMethods _once;
    private readonly INamedTypeSymbol? _durabilityLost;
    private readonly INamedTypeSymbol? _storage;
    private readonly INamedTypeSymbol? _io;

    /// <summary>For one compilation.</summary>
    public FlushCalls(Compilation compilation, ContractTypes types)
    {
        _final = new ContractMethods(types, s_final);
        _once = new ContractMethods(types, s_once);
        _durabilityLost = types.Contract("DurabilityLostException");
        _storage = types.Contract("StorageException");
        _io = compilation.GetTypeByMetadataName("System.IO.IOException");
    }

    /// <summary>What a call throws when the flush fails; null when it is no flush.</summary>
    public FlushFailure? Failure(IInvocationOperation call)
    {
        IMethodSymbol method = call.TargetMethod;
        if (_final.Find(method) is not null) return Of(_durabilityLost);
        if (_once.Find(method) is not null) return Of(_storage, mayBeDerived: true);
        return IsFlushToDisk(call) ? Of(_io) : null;
    }

    /// <summary>Whether it calls a native sync, which says by its result alone that it failed.</summary>
    public static bool IsNativeSync(IMethodSymbol method) => method.IsStatic && NativeImport.Of(method) is { IsSync: true };

    private static FlushFailure? Of(INamedTypeSymbol? type, bool mayBeDerived = false) => type is null ? null : new FlushFailure(type, mayBeDerived);

    private static bool IsFlushToDisk(IInvocationOperation call) => call.TargetMethod switch
    {
        { Name: "FlushToDisk", ContainingType: { Name: "RandomAccess", ContainingNamespace.Name: "IO" } } => true,
        { Name: "Flush", ContainingType: { Name: "FileStream", ContainingNamespace.Name: "IO" } }
            => call.Arguments.Length == 1 && call.Arguments[0].Value.ConstantValue is not { HasValue: true, Value: false },
        _ => false,
    };
}

/// <summary>What a flush throws when it fails.</summary>
/// <param name="type">The exception's class.</param>
/// <param name="mayBeDerived">It can also be one of a derived class.</param>
internal readonly struct FlushFailure(INamedTypeSymbol type, bool mayBeDerived)
{
    /// <summary>The exception's class.</summary>
    public INamedTypeSymbol Type { get; } = type;

    /// <summary>It can also be one of a derived class.</summary>
    public bool MayBeDerived { get; } = mayBeDerived;
}
