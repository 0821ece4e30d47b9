namespace StoragePlugins;

/// <summary>An open image: one or more named disks (a qcow2's live disk and its snapshots, a file system's files) over one storage.</summary>
/// <remarks>
/// Thread-safe. <see cref="Close"/> is the clean end; <see cref="IDisposable.Dispose"/> without it abandons the image as a crash would, which is
/// what a poisoned image deserves. Capabilities to ask for: <see cref="ISnapshotImage"/>, <see cref="ISwitchableImage"/>, <see cref="IFileTree"/>.
/// </remarks>
public interface IDiskImage : ICapabilitySource, IDisposable
{
    /// <summary>Facts about the image for people and for <c>--json</c>.</summary>
    ImageDescription Description { get; }

    /// <summary>The image's disks; the first is the live or only one and has an empty name. Bounded by paging: ask again after the last name.</summary>
    /// <param name="after">List names after this one, in ordinal order; <see langword="null"/> from the start.</param>
    /// <param name="limit">At most so many.</param>
    IReadOnlyList<DiskEntry> ListDisks(string? after, int limit);

    /// <summary>Opens a disk; the same disk may be opened by several users at once.</summary>
    /// <param name="name">A name of <see cref="ListDisks"/>; empty for the live disk.</param>
    /// <exception cref="DiagnosticException">No disk has this name.</exception>
    IVirtualDisk OpenDisk(string name);

    /// <summary>Commits, checkpoints, gives journal space back, clears marks. Durable on return; the image is then plain.</summary>
    /// <exception cref="DurabilityLostException">The image is poisoned: nothing was changed, it needs recovery.</exception>
    void Close();
}

/// <summary>A disk inside an image.</summary>
/// <param name="Name">Empty for the live disk; otherwise unique in the image.</param>
/// <param name="Length">Bytes.</param>
/// <param name="IsReadOnly">True for snapshots.</param>
/// <param name="Description">For people; may be empty.</param>
public sealed record DiskEntry(string Name, long Length, bool IsReadOnly, string Description);

/// <summary>Facts about an image.</summary>
/// <param name="Format">The format's id.</param>
/// <param name="VirtualSize">Bytes of the live disk.</param>
/// <param name="Properties">Further facts, in the order in which they are to be shown. Values are strings, numbers and booleans.</param>
public sealed record ImageDescription(string Format, long VirtualSize, IReadOnlyList<KeyValuePair<string, object>> Properties);

/// <summary>Capability of an image: internal snapshots. Each call quiesces the disk, is one transaction and durable on return.</summary>
public interface ISnapshotImage
{
    /// <summary>Takes a snapshot of the live disk.</summary>
    void CreateSnapshot(string name);

    /// <summary>Makes the live disk what the snapshot holds.</summary>
    void ApplySnapshot(string name);

    /// <summary>Deletes a snapshot and frees what only it used.</summary>
    void DeleteSnapshot(string name);
}

/// <summary>Capability of an image: its journal can be exchanged while its disks are in use.</summary>
public interface ISwitchableImage
{
    /// <summary>Quiesces the disks, brings the present journal home, and goes on with another one over the same storage.</summary>
    /// <remarks>On failure before the new journal's first commit the old one goes on.</remarks>
    void SwitchJournal(Func<IJournalSite, IOrderedMedium, IJournalSession> openJournal);
}
