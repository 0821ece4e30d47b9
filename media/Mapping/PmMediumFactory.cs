using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Composition;
using Microsoft.Extensions.Logging;

namespace StoragePlugins.Media.Mapping;

/// <summary>An image in mapped memory, on top of a medium that can be mapped.</summary>
[Export(typeof(IMediumFactory))]
[Strategy("pm", Summary = "an image in mapped persistent memory; no flush reaches a disk", Options = typeof(PmMediumOptions))]
internal sealed class PmMediumFactory : IMediumFactory
{
    /// <summary>Address range for an image to grow in. A process has 128 TiB of it: room for a hundred images.</summary>
    private const long LeastCapacity = 1L << 40;

    public IStorageMedium Open(MediumRequest request, StrategyContext context)
    {
        PmMediumOptions options = context.Options<PmMediumOptions>();
        IStorageMedium inner = request.OpenInner();
        try
        {
            IMappableMedium mappable = inner.GetCapability<IMappableMedium>() ?? throw new DiagnosticException(
                "SP5020", "the medium under 'pm' cannot be mapped into memory", request.Location, fix: "write \"medium\": [\"pm\", \"file\"]");
            IPersistentMemory memory = mappable.Map(new MappingRequest
            {
                Domain = PmMediumOptions.Domain(options.PersistenceDomain), Emulated = options.Emulated, Capacity = Math.Max(LeastCapacity, checked(2 * inner.Length)),
            });
            if (memory.IsEmulated)
            {
                context.Logger.LogWarning(
                    "SP5025: {Image}: ordinary memory stands in for persistent memory ({Domain}): nothing here survives a power cut", request.Location, memory.Domain);
            }

            return new PmMedium(inner, memory, context.Meter);
        }
        catch
        {
            inner.Dispose();
            throw;
        }
    }
}

/// <summary>Options of the medium <c>pm</c>.</summary>
public sealed class PmMediumOptions
{
    /// <summary>Where a store is durable.</summary>
    [Description("Where a store is durable: found out (auto), at the memory controller (adr), in the CPU caches (eadr), after msync(2) (msync), nowhere (none).")]
    [AllowedValues("auto", "adr", "eadr", "msync", "none")]
    public string PersistenceDomain { get; set; } = "auto";

    /// <summary>Ordinary memory may stand in.</summary>
    [Description("Accept ordinary memory, or a weaker domain than the one named, in place of persistent memory: nothing survives a power cut.")]
    public bool Emulated { get; set; }

    internal static PersistenceDomain? Domain(string name) => name == "auto" ? null : Enum.Parse<PersistenceDomain>(name, ignoreCase: true);
}
