using System.Collections.Immutable;
using Microsoft.CodeAnalysis;

namespace StoragePlugins.Analyzers;

/// <summary>A set of methods of the contracts, and the methods of classes that implement them.</summary>
internal sealed class ContractMethods
{
    private readonly ImmutableHashSet<IMethodSymbol> _methods;
    private readonly ImmutableHashSet<string> _names;

    /// <summary>All overloads of the named methods.</summary>
    /// <param name="types">The compilation's contracts.</param>
    /// <param name="members">"Type.Method"; "Type.*" for all methods of the type. What this version of the contracts does not have is left out.</param>
    public ContractMethods(ContractTypes types, IEnumerable<string> members)
    {
        _methods = ImmutableHashSet.CreateRange<IMethodSymbol>(
            SymbolEqualityComparer.Default,
            from member in members
            let parts = member.Split('.')
            let type = types.Contract(parts[0])
            where type is not null
            from method in type.GetMembers().OfType<IMethodSymbol>()
            where method.MethodKind == MethodKind.Ordinary && parts[1] is "*" || method.Name == parts[1]
            select method);
        _names = [.. _methods.Select(method => method.Name)];
    }

    /// <summary>The method of the contracts that a method is or implements; null when there is none.</summary>
    public IMethodSymbol? Find(IMethodSymbol method)
    {
        foreach (IMethodSymbol explicitly in method.ExplicitInterfaceImplementations)
        {
            if (_methods.Contains(explicitly.OriginalDefinition)) return explicitly;
        }

        if (!_names.Contains(method.Name) || method.IsStatic) return null;
        if (_methods.Contains(method.OriginalDefinition)) return method;
        for (IMethodSymbol? each = method; each is not null; each = each.OverriddenMethod)
        {
            foreach (INamedTypeSymbol contract in each.ContainingType.AllInterfaces)
            {
                IMethodSymbol? implemented = contract.GetMembers(method.Name).OfType<IMethodSymbol>().FirstOrDefault(
                    member => _methods.Contains(member) && ContractTypes.Same(each.ContainingType.FindImplementationForInterfaceMember(member), each));
                if (implemented is not null) return implemented;
            }
        }

        return null;
    }
}
