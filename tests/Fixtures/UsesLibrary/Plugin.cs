#if ONE
[assembly: StoragePlugin("LibraryOne")]
#elif TWO
[assembly: StoragePlugin("LibraryTwo")]
#elif NEEDS_TYPE
[assembly: StoragePlugin("MissingType")]
#else
[assembly: StoragePlugin("MissingDependency")]
#endif

namespace UsesLibrary;

[Export(typeof(IOrderingPrimitive))]
#if ONE
[Strategy("library-one")]
#elif TWO
[Strategy("library-two")]
#elif NEEDS_TYPE
[Strategy("missing-type")]
#else
[Strategy("missing-dependency")]
#endif
public sealed class Ordering : IOrderingPrimitive
{
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) => throw new NotSupportedException(ToString());

    public override string ToString() => ThirdParty.Library.Version;
}

#if NEEDS_TYPE
public sealed class Derived : ThirdParty.OnlyInSecond;
#endif
