using StoragePlugins.Host.Disks;

namespace StoragePlugins.Host.Exports.Nbd;

/// <summary>A disk under a name.</summary>
/// <param name="Name">At most <see cref="NbdProtocol.MaxStringBytes"/> bytes of UTF-8; empty for a nameless default.</param>
/// <param name="Disk">May be exported under several names, by several servers.</param>
/// <param name="Description">For people; may be empty.</param>
internal sealed record NbdExport(string Name, ServedDisk Disk, string Description = "")
{
    private const int SmallestPreferredBlock = 512;

    /// <summary>What the export can do, as told to a client.</summary>
    /// <param name="structured">Whether structured replies were negotiated.</param>
    public NbdTransmissionFlags FlagsFor(bool structured)
    {
        NbdTransmissionFlags flags = NbdTransmissionFlags.HasFlags | NbdTransmissionFlags.SendFlush | NbdTransmissionFlags.SendFua
            | NbdTransmissionFlags.CanMultiConn | NbdTransmissionFlags.SendCache;
        if (structured) flags |= NbdTransmissionFlags.SendDf;
        if (Disk.IsReadOnly) return flags | NbdTransmissionFlags.ReadOnly;
        if (Disk.CanDiscard) flags |= NbdTransmissionFlags.SendTrim;
        return flags | NbdTransmissionFlags.SendWriteZeroes | NbdTransmissionFlags.SendFastZero;
    }

    /// <summary>The block size at which requests are cheapest: a power of two from 512 bytes to 32 MiB, as the protocol wants it.</summary>
    public int PreferredBlockSize
    {
        get
        {
            int wanted = Math.Clamp(Disk.PreferredBlockSize, SmallestPreferredBlock, NbdProtocol.MaxPayloadBytes);
            return 1 << System.Numerics.BitOperations.Log2((uint)wanted);
        }
    }
}
