#if DUPLICATE
[assembly: StoragePlugin("DuplicateId")]
#elif !NO_ATTRIBUTE
[assembly: StoragePlugin("Plain", Description = "Does nothing, in one particular way.")]
#endif

namespace Plain;

#if !NO_STRATEGY
#if !NO_EXPORT && !TAKES_FILE
[Export(typeof(IOrderingPrimitive))]
#endif
#if TAKES_FILE
[Export(typeof(IMediumFactory))]
[Strategy("file")]
#elif MALFORMED_ID
[Strategy("Not An Id")]
#elif DUPLICATE
[Strategy("toy-order")]
#elif BAD_OPTIONS
[Strategy("plain", Options = typeof(NeedsArgument))]
#else
[Strategy("plain")]
#endif
#if ABSTRACT
public abstract class Ordering : IOrderingPrimitive
#elif TAKES_FILE
public sealed class Ordering : IMediumFactory
#else
public sealed class Ordering : IOrderingPrimitive
#endif
{
#if THROWS
    public Ordering() => throw new InvalidOperationException("the constructor threw");
#endif
#if THROWS_STATIC
    private static readonly int s_value = int.Parse("not a number", System.Globalization.CultureInfo.InvariantCulture);

    public Ordering() => GC.KeepAlive(s_value);
#endif
#if NATIVE
    [System.Runtime.InteropServices.DllImport("fixturenative", EntryPoint = "cos")]
    private static extern double Cosine(double angle);

    public override string ToString() => $"cos(0) = {Cosine(0)}";
#endif
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) => throw new NotSupportedException();

    public IStorageMedium Open(MediumRequest request, StrategyContext context) => throw new NotSupportedException();
}
#endif

#if SAME_ID_TWICE
[Export(typeof(IOrderingPrimitive))]
[Strategy("plain")]
public sealed class Second : IOrderingPrimitive
{
    public IOrderedMedium Attach(IStorageMedium medium, StrategyContext context) => throw new NotSupportedException();
}
#endif

#if BAD_OPTIONS
public sealed class NeedsArgument(int value)
{
    public int Value { get; set; } = value;
}
#endif

#if RUNS_AT_LOAD
internal static class AtLoad
{
    [System.Runtime.CompilerServices.ModuleInitializer]
    internal static void Run() => throw new InvalidOperationException("code of the plugin ran");
}
#endif
