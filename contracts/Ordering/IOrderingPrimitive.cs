namespace StoragePlugins;

/// <summary>
/// A strategy for "A before B" and "durable now": <c>fdatasync</c>, a barrier, deferred epochs. It never knows metadata from data.
/// </summary>
/// <remarks>
/// Export it with <c>[Export(typeof(IOrderingPrimitive))]</c> and <see cref="StrategyAttribute"/>. One object serves all the disks of a
/// process and holds no state of any; what belongs to one medium lives in the <see cref="IOrderedMedium"/>.
/// </remarks>
public interface IOrderingPrimitive
{
    /// <summary>Puts order on a medium. From here on nothing writes to <paramref name="medium"/> but the returned object.</summary>
    /// <param name="medium">The medium; the returned object disposes it.</param>
    /// <param name="context">Options, log and meter of this use.</param>
    /// <exception cref="DiagnosticException">The medium lacks what this primitive needs. A primitive never falls back to a weaker one.</exception>
    IOrderedMedium Attach(IStorageMedium medium, StrategyContext context);
}
