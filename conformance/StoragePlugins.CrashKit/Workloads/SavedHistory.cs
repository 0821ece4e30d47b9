namespace StoragePlugins.CrashKit.Workloads;

/// <summary>A <see cref="GuestHistory"/> as it is written to a file: what is needed to judge, not to go on.</summary>
/// <param name="Initial">The disk at the start, one length.</param>
/// <param name="Operations">Those of the guest first, <paramref name="Listed"/> of them; then those of the kit.</param>
/// <param name="Listed">How many are the guest's.</param>
/// <param name="Snapshots">Snapshots.</param>
/// <param name="Sectors">The values of each sector, the oldest first.</param>
/// <param name="Flushes">Acknowledged flushes.</param>
/// <param name="Barriers">Acknowledged barriers.</param>
/// <param name="Lengths">Lengths of the disk.</param>
/// <param name="Telling">Ticks at which something became owed.</param>
internal sealed record SavedHistory(
    int Initial, SavedOperation[] Operations, int Listed, SavedSnapshot[] Snapshots, SavedSector[] Sectors,
    SavedSpan[] Flushes, SavedSpan[] Barriers, SavedLength[] Lengths, long[] Telling);

/// <summary>An <see cref="Interval"/>; an end of −1 for never.</summary>
internal readonly record struct SavedSpan(long Begin, long End)
{
    public static SavedSpan Of(Interval interval) => new(interval.Begin, interval.End == long.MaxValue ? -1 : interval.End);

    public Interval ToInterval() => new(Begin) { End = End < 0 ? long.MaxValue : End };
}

internal sealed record SavedOperation(int Number, GuestOperation Operation, SavedSpan Span, string? Outcome);

internal sealed record SavedSnapshot(string Name, SavedSpan Created, SavedSpan? Deleted, int Length);

internal sealed record SavedLength(SavedSpan Span, long Length);

internal sealed record SavedSector(long Sector, SavedVersion[] Versions);

/// <summary>A value of a sector; operation −1 for the new disk.</summary>
internal readonly record struct SavedVersion(SavedSpan Span, int Operation, bool IsForced);

internal sealed partial class GuestHistory
{
    /// <summary>Writes the history down.</summary>
    /// <param name="bytes">Takes the contents: the disk's, the snapshots', the sectors'.</param>
    public SavedHistory Save(MemoryStream bytes)
    {
        var operations = new List<OperationRecord>(Operations);
        operations.AddRange(_sectors.Values.SelectMany(versions => versions).Select(version => version.Operation).OfType<OperationRecord>().Except(Operations, ReferenceEqualityComparer.Instance).Cast<OperationRecord>());
        var numbers = new Dictionary<OperationRecord, int>(ReferenceEqualityComparer.Instance);
        foreach (OperationRecord operation in operations) numbers.TryAdd(operation, numbers.Count);
        KeyValuePair<long, List<SectorVersion>>[] sectors = [.. _sectors.OrderBy(sector => sector.Key)];
        bytes.Write(_initial);
        foreach (SnapshotLife life in Snapshots) bytes.Write(life.Content);
        foreach ((_, List<SectorVersion> versions) in sectors) foreach (SectorVersion version in versions) bytes.Write(version.Content);
        return new SavedHistory(
            _initial.Length,
            [.. operations.Select(operation => new SavedOperation(operation.Number, operation.Operation, SavedSpan.Of(operation.Span), operation.Outcome))],
            Operations.Count,
            [.. Snapshots.Select(life => new SavedSnapshot(life.Name, SavedSpan.Of(life.Created), life.Deleted is null ? null : SavedSpan.Of(life.Deleted), life.Content.Length))],
            [.. sectors.Select(sector => new SavedSector(sector.Key, [.. sector.Value.Select(version => new SavedVersion(SavedSpan.Of(version.Span), version.Operation is null ? -1 : numbers[version.Operation], version.IsForced))]))],
            [.. _flushes.Select(SavedSpan.Of)],
            [.. _barriers.Select(SavedSpan.Of)],
            [.. _lengths.Select(length => new SavedLength(SavedSpan.Of(length.When), length.Length))],
            [.. TellingTicks]);
    }

    /// <summary>Reads it back.</summary>
    /// <param name="saved">What was written.</param>
    /// <param name="bytes">The contents, at the history's first; seekable.</param>
    /// <exception cref="EndOfStreamException">The contents are too short.</exception>
    /// <exception cref="InvalidDataException">It makes no sense.</exception>
    public static GuestHistory Restore(SavedHistory saved, Stream bytes)
    {
        byte[] Take(int length)
        {
            if (length > bytes.Length - bytes.Position) throw new EndOfStreamException("the contents end early");
            byte[] content = new byte[length];
            bytes.ReadExactly(content);
            return content;
        }

        if (saved.Initial < 0 || saved.Initial > Media.DeviceImage.MaxLength || saved.Listed < 0 || saved.Listed > saved.Operations.Length) throw new InvalidDataException("the history's disk makes no sense");
        var history = new GuestHistory(Take(saved.Initial), salt: 0);
        OperationRecord[] operations = [.. saved.Operations.Select(operation => new OperationRecord(operation.Number, operation.Operation, operation.Span.ToInterval()) { Outcome = operation.Outcome })];
        history.Operations.AddRange(operations[..saved.Listed]);
        foreach (SavedSnapshot life in saved.Snapshots)
        {
            if (life.Length < 0 || life.Length > Media.DeviceImage.MaxLength) throw new InvalidDataException("a snapshot's length makes no sense");
            history.Snapshots.Add(new SnapshotLife(life.Name, life.Created.ToInterval(), Take(life.Length)) { Deleted = life.Deleted?.ToInterval() });
        }

        foreach (SavedSector sector in saved.Sectors)
        {
            if (sector.Versions.Any(version => version.Operation < -1 || version.Operation >= operations.Length)) throw new InvalidDataException("a sector's value is of no operation");
            history._sectors[sector.Sector] = [.. sector.Versions.Select(version => new SectorVersion(version.Span.ToInterval(), Take(SectorBytes), version.Operation < 0 ? null : operations[version.Operation], version.IsForced))];
        }

        history._flushes.AddRange(saved.Flushes.Select(flush => flush.ToInterval()));
        history._barriers.AddRange(saved.Barriers.Select(barrier => barrier.ToInterval()));
        history._lengths.Clear();
        history._lengths.AddRange(saved.Lengths.Select(length => (length.Span.ToInterval(), length.Length)));
        if (history._lengths.Count == 0) throw new InvalidDataException("the disk has no length");
        foreach (long tick in saved.Telling.Skip(1)) history._obligations.Add((tick, (ulong)tick));
        return history;
    }
}
