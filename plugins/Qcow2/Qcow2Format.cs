using System.Composition;
using StoragePlugins.Qcow2.Check;
using StoragePlugins.Qcow2.Create;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2;

/// <summary>The qcow2 format, versions 2 and 3 (QEMU docs/interop/qcow2).</summary>
[Export(typeof(IBlockFormat))]
[Strategy("qcow2", Summary = "QEMU's qcow2: sparse, snapshots, backing files, compression", Options = typeof(Qcow2Options))]
public sealed class Qcow2Format : IBlockFormat, ICheckingFormat, IJournaledFormat
{
    /// <inheritdoc/>
    public FormatMatch Probe(IStorageMedium medium) => Qcow2Header.Matches(medium) ? FormatMatch.Certain : FormatMatch.No;

    /// <inheritdoc/>
    public void Create(IStorageMedium medium, CreateRequest request, StrategyContext context) =>
        Qcow2Creator.Create(medium, request.Size, context.Options<Qcow2Options>().ToSettings(request));

    /// <inheritdoc/>
    public CheckReport Check(IStorageMedium medium, RepairMode repair, StrategyContext context)
    {
        Qcow2Header header = Qcow2Header.ReadBeforeRecovery(medium);
        if ((header.IncompatibleFeatures & Qcow2Features.JournalInUse) != 0)
            throw new DiagnosticException("SP3030", "the image was not closed cleanly, and its journal must be replayed first", medium.Name,
                fix: "run: sphost image recover; then check it");
        return new Qcow2Checker(medium, header).Run(repair);
    }

    /// <inheritdoc/>
    public JournalFacts InspectJournal(IStorageMedium medium)
    {
        var store = new JournalMarkStore(Qcow2Header.ReadBeforeRecovery(medium), medium, static () => { });
        return new JournalFacts(store.IsSet ? store.Current?.Journal ?? "" : null, store.WhyNot);
    }

    /// <inheritdoc/>
    public void DiscardJournal(IStorageMedium medium)
    {
        var store = new JournalMarkStore(Qcow2Header.ReadBeforeRecovery(medium), medium, () => medium.GetCapability<IFlushableMedium>()?.FlushData());
        if (store.IsSet) store.Clear();
    }

    /// <inheritdoc/>
    public IDiskImage Open(OpenRequest request, StrategyContext context) => new ImageOpener(request, context).Open();
}
